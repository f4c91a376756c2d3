#include "operator/probe/autoscaler.h"

#include <algorithm>

#include "common/log.h"

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPeriod{900};  // a little less than the probes' second, which comes with some jitter

}  // namespace

bool Autoscaler::is_news(const Entry& entry, const AutoscaleDecision& decision) {
  if (!entry.told || decision.desired != entry.replicas) return true;
  const bool was_active = !entry.record || entry.record->decision.active;
  return was_active != decision.active || (!decision.active && entry.record->decision.reason != decision.reason);
}

Autoscaler::Member Autoscaler::member_of(const GroupView& group) {
  Member member;
  member.group = group.name;
  const PodView* leader = group.leader();
  if (leader != nullptr) member.leader_uid = leader->uid;
  if (group.retiring() || group.terminating()) {
    member.life = GroupLife::kLeaving;
  } else if (group.routable()) {
    member.life = GroupLife::kServing;
    member.serving_since = leader->gate_since;
  }
  return member;
}

void Autoscaler::watch(const kube::ObjectKey& deployment, const AutoscaleStatusInput& seen,
                       const std::vector<GroupView>& groups) {
  const std::lock_guard lock(mutex_);
  const auto [found, is_new] = entries_.try_emplace(deployment);
  Entry& entry = found->second;
  if (is_new) {
    entry.replicas = seen.replicas;
    entry.history = history_after(seen.earlier);
    entry.told = seen.earlier && seen.earlier->active;
  } else if (entry.spec != seen.spec) {  // what it was decided by is no longer asked for
    entry.record.reset();
    entry.told = false;
  }
  entry.spec = seen.spec;
  entry.members.clear();
  for (const GroupView& group : groups) entry.members.push_back(member_of(group));
}

void Autoscaler::forget(const kube::ObjectKey& deployment) {
  const std::lock_guard lock(mutex_);
  entries_.erase(deployment);
}

AutoscaleSignals Autoscaler::signals_of(const Entry& entry, TimePoint now) const {
  AutoscaleSignals signals;
  signals.replicas = entry.replicas;
  for (const Member& member : entry.members) {
    GroupSignal signal;
    signal.group = member.group;
    signal.life = member.life;
    if (member.life == GroupLife::kServing) {
      signal.serving_for =
          std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(now - member.serving_since));
    }
    const auto evidence = options_.evidence(member.leader_uid);
    if (evidence && evidence->answered) {
      if (evidence->status.load) signal.load = *evidence->status.load;
      signal.age = evidence->since_answer;
    }
    signals.groups.push_back(std::move(signal));
  }
  return signals;
}

void Autoscaler::look(const kube::ObjectKey& deployment) {
  std::unique_lock lock(mutex_);
  const auto found = entries_.find(deployment);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  const TimePoint now = options_.now();
  if (entry.looked_at && now - *entry.looked_at < kPeriod) return;
  entry.looked_at = now;
  AutoscaleOutcome outcome = plan_autoscale(entry.spec, signals_of(entry, now), std::move(entry.history), now);
  entry.history = std::move(outcome.history);
  if (!is_news(entry, outcome.decision)) return;
  const AutoscaleDecision& decision = outcome.decision;
  if (decision.desired != entry.replicas) {
    common::log_info("replicas decided", {{"deployment", to_string(deployment)},
                                          {"from", entry.replicas},
                                          {"to", decision.desired},
                                          {"reason", decision.reason},
                                          {"because", decision.message}});
  }
  entry.replicas = decision.desired;
  entry.record = AutoscaleRecord{outcome.decision, now};
  entry.told = true;
  lock.unlock();
  options_.on_change(deployment);
}

std::optional<AutoscaleRecord> Autoscaler::record(const kube::ObjectKey& deployment) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(deployment);
  return found == entries_.end() ? std::nullopt : found->second.record;
}

}  // namespace millrace::controller
