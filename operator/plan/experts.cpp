#include "operator/plan/experts.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "operator/plan/experts_search.h"

namespace millrace::controller {
namespace {

std::string number(std::int64_t value) {
  return std::to_string(value);
}

std::string shape_fault(const ExpertShape& shape) {
  if (shape.experts < 1) return "experts is " + number(shape.experts) + ": a model without experts has no placement";
  if (shape.ranks < 1) return "ranks is " + number(shape.ranks) + ": at least one rank must hold experts";
  if (shape.slots_per_rank < 1 || shape.slots() < shape.experts) {
    const std::int32_t least = (shape.experts + shape.ranks - 1) / shape.ranks;
    return "slots_per_rank is " + number(shape.slots_per_rank) + ": " + number(shape.experts) + " experts on " +
           number(shape.ranks) + " ranks need at least " + number(least);
  }
  const auto nodes = static_cast<std::int64_t>(shape.node_of_rank.size());
  if (nodes != 0 && nodes != shape.ranks) {
    return "node_of_rank has " + number(nodes) + " entries: give one for each of the " + number(shape.ranks) + " ranks";
  }
  return "";
}

std::string load_fault(const ExpertShape& shape, const std::vector<std::vector<double>>& loads) {
  for (std::size_t layer = 0; layer < loads.size(); ++layer) {
    const std::string where = "loads of layer " + std::to_string(layer);
    if (loads[layer].size() != static_cast<std::size_t>(shape.experts)) {
      return where + " has " + std::to_string(loads[layer].size()) + " entries: the model has " +
             number(shape.experts) + " experts";
    }
    for (std::size_t expert = 0; expert < loads[layer].size(); ++expert) {
      if (!(loads[layer][expert] >= 0) || std::isinf(loads[layer][expert])) {
        return where + " has " + std::to_string(loads[layer][expert]) + " for expert " + std::to_string(expert) +
               ": a load is a finite number, at least 0";
      }
    }
  }
  return "";
}

std::string input_fault(const ExpertPlanInput& input) {
  std::string fault = shape_fault(input.shape);
  if (fault.empty() && input.loads.empty()) fault = "loads is empty: give one row for each layer";
  if (fault.empty()) fault = load_fault(input.shape, input.loads);
  if (fault.empty()) fault = placement_fault(input.shape, input.current, input.loads.size());
  if (fault.empty() && input.bytes_per_expert < 0) fault = "bytes_per_expert is " + number(input.bytes_per_expert);
  if (fault.empty() && !(input.tolerance >= 0 && input.tolerance < 1)) {
    fault = "tolerance is " + std::to_string(input.tolerance) + ": use a share of 0 or more and below 1";
  }
  return fault;
}

// How far replicas are made smaller than the busiest rank's work, step by step: each step fetches more, and leaves
// smaller pieces, which are easier to balance.
constexpr double kGreatestShare[] = {0.6, 0.35, 0.0};

// Layers up to this size are shaken; the smaller, the more often.
constexpr std::int32_t kFewSlots = 64;
constexpr int kShakenSlots = 20'000;

class LayerPlanner {
 public:
  // `now`: the placement in force. Borrowed, as is all that it borrows.
  LayerPlanner(const ExpertLayer& now, const std::vector<double>& load, double tolerance)
      : now_(now), shape_(now.shape()), load_(load), tolerance_(tolerance) {}

  ExpertLayer plan() const {
    const double bound = now_.lower_bound();
    if (now_.peak() <= bound * (1 + tolerance_)) return now_;
    // What could be reached from nothing says how far it is worth going from here.
    ExpertLayer fresh(shape_, load_, pack_anew(shape_, load_));
    if (fresh.peak() > bound * (1 + tolerance_ / 2)) relieve(fresh, fresh.row(), bound * (1 + tolerance_ / 2));
    if (shape_.slots() <= kFewSlots) shake(fresh, bound * (1 + tolerance_ / 2), kShakenSlots / shape_.slots());
    const double target = std::max(bound, fresh.peak()) * (1 + tolerance_);
    ExpertLayer best = std::move(fresh);
    for (const double share : kGreatestShare) {
      ExpertLayer tried = now_;
      tried.split_greatest(bound * share);
      relieve(tried, now_.row(), target);
      if (tried.peak() <= target) return tried;
      if (tried.peak() < best.peak()) best = std::move(tried);
      if (shape_.slots() == shape_.experts) break;  // nothing to split with
    }
    return {shape_, load_, keep_in_place(shape_, best.row(), now_.row())};
  }

 private:
  const ExpertLayer& now_;
  const ExpertShape& shape_;
  const std::vector<double>& load_;
  const double tolerance_;
};

struct Work {
  double peak = 0.0;
  double mean = 0.0;
};

Work work_of(const ExpertLayer& layer) {
  return {layer.peak(), layer.mean()};
}

double ratio(const Work& work) {
  return work.mean > 0 ? work.peak / work.mean : 1.0;
}

void list_fetches(std::int32_t layer, const ExpertLayer& from, const ExpertLayer& to, ExpertPlan& plan) {
  if (from.row() == to.row()) return;
  const ExpertShape& shape = to.shape();
  for (std::int32_t slot = 0; slot < shape.slots(); ++slot) {
    const std::int32_t expert = to.expert_in(slot);
    if (expert == from.expert_in(slot)) continue;
    const std::int32_t rank = to.rank_of(slot);
    const auto begin = to.row().begin() + std::ptrdiff_t{rank} * shape.slots_per_rank;
    const auto end = to.row().begin() + slot;
    if (from.holds(rank, expert) || std::find(begin, end, expert) != end) continue;
    plan.fetches.push_back({layer, expert, rank, from.on_node(shape.node(rank), expert)});
  }
}

void sum_up(const ExpertPlanInput& input, const std::vector<Work>& before, const std::vector<Work>& after,
            ExpertPlan& plan) {
  Work all_before, all_after;
  for (std::size_t layer = 0; layer < before.size(); ++layer) {
    plan.layers.push_back({ratio(before[layer]), ratio(after[layer])});
    all_before = {all_before.peak + before[layer].peak, all_before.mean + before[layer].mean};
    all_after = {all_after.peak + after[layer].peak, all_after.mean + after[layer].mean};
    if (plan.layers[layer].before > plan.layers[static_cast<std::size_t>(plan.worst_layer)].before) {
      plan.worst_layer = static_cast<std::int32_t>(layer);
    }
  }
  plan.all = {ratio(all_before), ratio(all_after)};
  for (const ExpertFetch& fetch : plan.fetches) {
    plan.bytes += input.bytes_per_expert;
    if (!fetch.same_node) plan.bytes_between_nodes += input.bytes_per_expert;
  }
}

}  // namespace

ExpertPlan plan_experts(const ExpertPlanInput& input) {
  ExpertPlan plan;
  plan.refused = input_fault(input);
  if (!plan.ok()) return plan;
  std::vector<Work> before, after;
  for (std::size_t layer = 0; layer < input.loads.size(); ++layer) {
    const std::vector<double>& load = input.loads[layer];
    const ExpertLayer now(input.shape, load, input.current[layer]);
    const ExpertLayer planned = LayerPlanner(now, load, input.tolerance).plan();
    before.push_back(work_of(now));
    after.push_back(work_of(planned));
    list_fetches(static_cast<std::int32_t>(layer), now, planned, plan);
    plan.placement.push_back(planned.row());
  }
  sum_up(input, before, after, plan);
  return plan;
}

double expert_imbalance(const ExpertShape& shape, const std::vector<double>& load, const ExpertRow& row) {
  return ratio(work_of({shape, load, row}));
}

double expert_imbalance(const ExpertShape& shape, const std::vector<std::vector<double>>& loads,
                        const std::vector<ExpertRow>& rows) {
  Work all;
  for (std::size_t layer = 0; layer < loads.size(); ++layer) {
    const Work work = work_of({shape, loads[layer], rows[layer]});
    all = {all.peak + work.peak, all.mean + work.mean};
  }
  return ratio(all);
}

std::string placement_fault(const ExpertShape& shape, const std::vector<ExpertRow>& rows, std::size_t layers) {
  if (rows.size() != layers) {
    return "the placement has " + std::to_string(rows.size()) + " layers: the loads have " + std::to_string(layers);
  }
  for (std::size_t layer = 0; layer < rows.size(); ++layer) {
    const std::string where = "the placement of layer " + std::to_string(layer);
    if (rows[layer].size() != static_cast<std::size_t>(shape.slots())) {
      return where + " has " + std::to_string(rows[layer].size()) + " slots: " + number(shape.ranks) + " ranks with " +
             number(shape.slots_per_rank) + " slots have " + number(shape.slots());
    }
    std::vector<bool> placed(static_cast<std::size_t>(shape.experts), false);
    for (const std::int32_t expert : rows[layer]) {
      if (expert < 0 || expert >= shape.experts) {
        return where + " names expert " + number(expert) + ": use 0 to " + number(shape.experts - 1);
      }
      placed[static_cast<std::size_t>(expert)] = true;
    }
    const auto missing = std::find(placed.begin(), placed.end(), false);
    if (missing != placed.end()) {
      return where + " has no slot for expert " + std::to_string(missing - placed.begin()) + ": every expert needs one";
    }
  }
  return "";
}

}  // namespace millrace::controller
