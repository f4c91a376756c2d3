// The membership that the agents of a group need next. The generation lives in the agents themselves: one that was
// replaced or restarted reports another than its peers, and then everybody gets the next one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/agent_api.h"

namespace millrace::controller {

struct MemberView {
  std::int32_t pod_index = 0;
  std::string ip;
  bool answered = false;  // just now: older answers must not be used here
  common::AgentStatus status;
};

struct GroupShape {
  std::string name;
  std::int32_t tensor_parallel = 1;
  std::int32_t expert_parallel = 1;
  std::int32_t ranks_per_pod = 1;

  std::int32_t pods() const { return tensor_parallel / ranks_per_pod; }
};

// What was done for the group before, as far as this process knows.
struct MembershipHistory {
  std::int64_t pushed = 0;  // the highest generation given to the members; 0: not known
  bool settled = true;      // enough time has passed since then for every member to have noticed
  bool rested = true;       // enough time has passed since then to try something that did not work again
};

// What to push to every member now; empty when a generation is in force or being taken up, or when a member is missing
// or silent. An agent reports an older generation while it is busy ending that one: it is given time.
std::optional<common::GroupMembership> next_membership(const GroupShape& shape, const std::vector<MemberView>& members,
                                                       const MembershipHistory& history);

}  // namespace millrace::controller
