// How a group leaves: out of traffic, told to drain, waited for by count, deleted. Each step follows from what is
// written on the pods and what the agents say, so an operator that restarts in the middle goes on where it was.
#pragma once

#include <chrono>
#include <string>

#include "operator/plan/group.h"

namespace millrace::controller {

enum class DrainStep {
  kUnroute,  // routers have not been told yet
  kDrain,    // wait until routers send no more requests (the agent sees that), and for those that run
  kDelete,   // nothing is left to wait for, or the limit has passed
};

struct DrainPlan {
  DrainStep step = DrainStep::kDelete;
  std::string reason;
  std::chrono::milliseconds look_again{0};  // when time alone will change the answer
};

// `group` is retiring. `limit`: spec.drain.timeoutSeconds.
DrainPlan plan_drain(const GroupView& group, std::chrono::seconds limit, TimePoint now);

}  // namespace millrace::controller
