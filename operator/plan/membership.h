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

// What to push to every member now; empty when a generation is in force, or when a member is missing or silent.
// `retry_failed`: enough time has passed since the last attempt to start a group that failed.
std::optional<common::GroupMembership> next_membership(const GroupShape& shape, const std::vector<MemberView>& members,
                                                       bool retry_failed);

}  // namespace millrace::controller
