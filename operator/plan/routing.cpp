#include "operator/plan/routing.h"

#include <algorithm>

namespace millrace::controller {

namespace {

// Null: there is nothing to hold against the leader.
const AgentEvidence* failing_leader(const GroupView& group) {
  const PodView* leader = group.leader();
  if (leader == nullptr || !leader->evidence) return nullptr;
  const AgentEvidence& evidence = *leader->evidence;
  return evidence.answered && !evidence.error.empty() ? &evidence : nullptr;
}

}  // namespace

Gate wanted_gate(const GroupView& group) {
  if (!group.complete() || group.retiring()) return Gate::kClosed;
  const PodView& leader = *group.leader();
  if (!leader.containers_ready) return Gate::kClosed;
  if (!leader.evidence || !is_fresh(*leader.evidence)) return Gate::kKeep;
  if (leader.evidence->status.phase != common::AgentPhase::kServing) return Gate::kClosed;
  const bool all_ready =
      std::all_of(group.pods.begin(), group.pods.end(), [](const PodView& pod) { return pod.containers_ready; });
  // A follower that fails its probe once does not end a group whose leader still serves.
  return all_ready ? Gate::kOpen : Gate::kKeep;
}

bool is_silent(const GroupView& group) {
  const AgentEvidence* evidence = failing_leader(group);
  return evidence != nullptr && evidence->age >= kSilenceLimit;
}

std::chrono::milliseconds until_silent(const GroupView& group) {
  const AgentEvidence* evidence = failing_leader(group);
  return evidence == nullptr ? std::chrono::milliseconds(0) : std::max(kSilenceLimit - evidence->age, {});
}

}  // namespace millrace::controller
