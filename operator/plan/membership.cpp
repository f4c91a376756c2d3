#include "operator/plan/membership.h"

#include <algorithm>

namespace millrace::controller {

std::optional<common::GroupMembership> next_membership(const GroupShape& shape, const std::vector<MemberView>& members,
                                                       const MembershipHistory& history) {
  if (static_cast<std::int32_t>(members.size()) != shape.pods() || !history.settled) return std::nullopt;
  std::int64_t highest = history.pushed;
  bool agreed = true;
  bool forgotten = false;  // a member has none: it is new or was restarted
  bool failed = false;
  for (const MemberView& member : members) {
    if (!member.answered || member.ip.empty()) return std::nullopt;
    if (member.status.phase == common::AgentPhase::kDraining) return std::nullopt;
    highest = std::max(highest, member.status.generation);
    agreed = agreed && member.status.generation == members.front().status.generation;
    forgotten = forgotten || member.status.generation == 0;
    failed = failed || member.status.phase == common::AgentPhase::kFailed;
  }
  const bool in_force = agreed && !failed && !forgotten;
  const bool being_taken_up = history.pushed > 0 && !forgotten && !history.rested;
  if (in_force || being_taken_up) return std::nullopt;
  common::GroupMembership next;
  next.generation = highest + 1;
  next.group = shape.name;
  next.tensor_parallel = shape.tensor_parallel;
  next.expert_parallel = shape.expert_parallel;
  next.ranks_per_pod = shape.ranks_per_pod;
  for (const MemberView& member : members) next.peers.push_back({member.pod_index, member.ip});
  std::sort(next.peers.begin(), next.peers.end(),
            [](const common::GroupPeer& a, const common::GroupPeer& b) { return a.pod_index < b.pod_index; });
  return next;
}

}  // namespace millrace::controller
