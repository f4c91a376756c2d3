#include "operator/plan/experts_layer.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>

namespace millrace::controller {

ExpertLayer::ExpertLayer(const ExpertShape& shape, const std::vector<double>& load, ExpertRow row)
    : shape_(&shape),
      load_(&load),
      row_(std::move(row)),
      first_(load.size(), kEnd),
      next_(row_.size(), kEnd),
      count_(load.size(), 0),
      share_(load.size()),
      work_(static_cast<std::size_t>(shape.ranks), 0.0),
      total_(std::accumulate(load.begin(), load.end(), 0.0)) {
  for (std::int32_t slot = 0; slot < shape_->slots(); ++slot) link(slot, expert_in(slot));
  for (std::size_t expert = 0; expert < load_->size(); ++expert) share_[expert] = (*load_)[expert] / count_[expert];
  for (std::int32_t slot = 0; slot < shape_->slots(); ++slot) {
    work_[static_cast<std::size_t>(rank_of(slot))] += share(expert_in(slot));
  }
}

void ExpertLayer::link(std::int32_t slot, std::int32_t expert) {
  next_[static_cast<std::size_t>(slot)] = first(expert);
  first_[static_cast<std::size_t>(expert)] = slot;
  ++count_[static_cast<std::size_t>(expert)];
}

void ExpertLayer::unlink(std::int32_t slot, std::int32_t expert) {
  std::int32_t* place = &first_[static_cast<std::size_t>(expert)];
  while (*place != slot) place = &next_[static_cast<std::size_t>(*place)];
  *place = next(slot);
  --count_[static_cast<std::size_t>(expert)];
}

bool ExpertLayer::holds(std::int32_t rank, std::int32_t expert) const {
  for (std::int32_t slot = first(expert); slot != kEnd; slot = next(slot)) {
    if (rank_of(slot) == rank) return true;
  }
  return false;
}

bool ExpertLayer::on_node(std::int32_t node, std::int32_t expert) const {
  for (std::int32_t slot = first(expert); slot != kEnd; slot = next(slot)) {
    if (shape_->node(rank_of(slot)) == node) return true;
  }
  return false;
}

std::int32_t ExpertLayer::busiest() const {
  return static_cast<std::int32_t>(std::max_element(work_.begin(), work_.end()) - work_.begin());
}

// Spare slots go one by one to the expert with the greatest share: no other way makes the greatest share smaller.
double ExpertLayer::lower_bound() const {
  std::int32_t spare = shape_->slots() - shape_->experts;
  if (spare == 0) return std::max(mean(), *std::max_element(load_->begin(), load_->end()));
  using Entry = std::pair<double, std::pair<double, std::int32_t>>;  // share, (load, replicas)
  std::priority_queue<Entry> shares;
  for (const double load : *load_) {
    if (load > mean()) shares.push({load, {load, 1}});
  }
  while (spare-- > 0 && !shares.empty() && shares.top().first > mean()) {
    auto [load, replicas] = shares.top().second;
    shares.pop();
    ++replicas;
    shares.push({load / replicas, {load, replicas}});
  }
  return shares.empty() ? mean() : std::max(mean(), shares.top().first);
}

// Gives the holders of an expert the share that this many replicas have.
void ExpertLayer::recount(std::int32_t expert, std::int32_t replicas) {
  double& share = share_[static_cast<std::size_t>(expert)];
  const double now = (*load_)[static_cast<std::size_t>(expert)] / replicas;
  for (std::int32_t slot = first(expert); slot != kEnd; slot = next(slot)) {
    work_[static_cast<std::size_t>(rank_of(slot))] += now - share;
  }
  share = now;
}

void ExpertLayer::put(std::int32_t slot, std::int32_t expert) {
  const std::int32_t old = expert_in(slot);
  if (old == expert) return;
  double& work = work_[static_cast<std::size_t>(rank_of(slot))];
  unlink(slot, old);
  work -= share(old);
  recount(old, count(old));
  recount(expert, count(expert) + 1);
  work += share(expert);
  link(slot, expert);
  row_[static_cast<std::size_t>(slot)] = expert;
}

void ExpertLayer::swap(std::int32_t a, std::int32_t b) {
  const std::int32_t left = expert_in(a);
  const std::int32_t right = expert_in(b);
  if (left == right) return;
  const double difference = share(left) - share(right);
  work_[static_cast<std::size_t>(rank_of(a))] -= difference;
  work_[static_cast<std::size_t>(rank_of(b))] += difference;
  unlink(a, left);
  unlink(b, right);
  link(b, left);
  link(a, right);
  std::swap(row_[static_cast<std::size_t>(a)], row_[static_cast<std::size_t>(b)]);
}

void ExpertLayer::split_greatest(double limit) {
  using Entry = std::pair<double, std::int32_t>;  // key, expert; outdated when the key is no longer the expert's
  std::priority_queue<Entry> greatest;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> donors;
  const auto share_without_one = [&](std::int32_t expert) {
    return (*load_)[static_cast<std::size_t>(expert)] / (count(expert) - 1);
  };
  const auto enter = [&](std::int32_t expert) {
    if (share(expert) > limit) greatest.push({share(expert), expert});
    if (count(expert) > 1) donors.push({share_without_one(expert), expert});
  };
  for (std::int32_t expert = 0; expert < shape_->experts; ++expert) enter(expert);
  while (!greatest.empty()) {
    const auto [share_now, expert] = greatest.top();
    if (share_now != share(expert)) {
      greatest.pop();
      continue;
    }
    while (!donors.empty() &&
           (count(donors.top().second) == 1 || donors.top().first != share_without_one(donors.top().second))) {
      donors.pop();
    }
    if (donors.empty() || donors.top().first >= share_now) return;  // the expert itself is never below its own share
    const std::int32_t donor = donors.top().second;
    put(idlest_slot(donor, expert), expert);
    enter(donor);
    enter(expert);
  }
}

// Of an expert's slots the one on the least busy rank, on one without the other expert if there is any.
std::int32_t ExpertLayer::idlest_slot(std::int32_t of, std::int32_t without) const {
  std::int32_t best = first(of);
  const auto key = [&](std::int32_t slot) { return std::pair(holds(rank_of(slot), without), work(rank_of(slot))); };
  for (std::int32_t slot = next(best); slot != kEnd; slot = next(slot)) {
    if (key(slot) < key(best)) best = slot;
  }
  return best;
}

}  // namespace millrace::controller
