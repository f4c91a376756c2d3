#include "operator/reconcile/experts.h"

#include <algorithm>
#include <set>

#include "common/error.h"
#include "common/log.h"

namespace millrace::controller {
namespace {

constexpr std::chrono::milliseconds kMovePeriod{1'000};  // between two looks at a move
constexpr std::chrono::milliseconds kSlack{5};           // a look is due no earlier than its sample

}  // namespace

ExpertBalancer::ExpertBalancer(ExpertClient& client, OnChange on_change, int threads)
    : client_(client), on_change_(std::move(on_change)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

ExpertBalancer::~ExpertBalancer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ExpertBalancer::watch(const kube::ObjectKey& deployment, const std::vector<ExpertGroup>& groups) {
  const std::lock_guard lock(mutex_);
  std::set<std::string> wanted;
  for (const ExpertGroup& group : groups) {
    const std::string name = deployment.ns + "/" + group.name;
    wanted.insert(name);
    std::shared_ptr<Entry>& entry = entries_[name];
    const bool same = entry && entry->group.policy == group.policy && entry->group.node_of_rank == group.node_of_rank;
    if (same) {
      entry->group = group;
      continue;
    }
    const auto now = Clock::now();
    entry = std::make_shared<Entry>(Entry{deployment, group, ExpertCycle(group.policy, group.node_of_rank, now), now});
  }
  std::erase_if(entries_, [&](const auto& item) {
    return item.second->deployment == deployment && !wanted.contains(item.first);
  });
  changed_.notify_all();
}

std::vector<ExpertGroupStatus> ExpertBalancer::status(const kube::ObjectKey& deployment) const {
  const std::lock_guard lock(mutex_);
  std::vector<ExpertGroupStatus> result;
  for (const auto& [name, entry] : entries_) {
    if (entry->deployment != deployment) continue;
    result.push_back(entry->cycle.status(Clock::now()));
    result.back().group = entry->group.name;
  }
  return result;
}

void ExpertBalancer::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    std::shared_ptr<Entry> next;
    for (const auto& [name, entry] : entries_) {
      if (!entry->busy && (!next || entry->due < next->due)) next = entry;
    }
    if (!next) {
      changed_.wait(lock);
      continue;
    }
    if (next->due > Clock::now()) {
      changed_.wait_until(lock, next->due);
      continue;
    }
    next->busy = true;
    lock.unlock();
    look(*next);
    lock.lock();
    const auto interval = next->group.policy.interval;
    next->due = Clock::now() + (next->cycle.moving() ? std::min(interval, kMovePeriod) : interval) + kSlack;
    next->busy = false;
    changed_.notify_one();
  }
}

// One look at one group. The cycle is touched with the lock held, the agent is asked without it.
void ExpertBalancer::look(Entry& entry) {
  std::unique_lock lock(mutex_);
  const AgentAddress leader = entry.group.leader;
  const kube::ObjectKey deployment = entry.deployment;
  lock.unlock();
  try {
    ExpertReading reading{client_.load(leader), client_.placement(leader)};
    lock.lock();
    const auto placement = entry.cycle.heard(reading, Clock::now());
    lock.unlock();
    if (placement) {
      common::log_info("expert placement sent", {{"group", entry.group.name}, {"number", placement->number}});
      try {
        client_.move(leader, *placement);
      } catch (const common::Error& error) {
        lock.lock();
        entry.cycle.refused(error.what(), Clock::now());
        lock.unlock();
      }
    }
  } catch (const common::Error& error) {
    common::log_debug("expert load cannot be read", {{"agent", leader.ip}, {"error", error.what()}});
  }
  if (!lock.owns_lock()) lock.lock();
  const bool news = has_news_locked(entry);
  lock.unlock();
  if (news && on_change_) on_change_(deployment);
}

bool ExpertBalancer::has_news_locked(Entry& entry) const {
  const ExpertGroupStatus status = entry.cycle.status(Clock::now());
  if (status.verdict == entry.told && status.placement_number == entry.told_number) return false;
  common::log_info("experts", {{"group", entry.group.name},
                               {"state", to_string(status.verdict)},
                               {"placement", status.placement_number},
                               {"message", status.message}});
  entry.told = status.verdict;
  entry.told_number = status.placement_number;
  return true;
}

}  // namespace millrace::controller
