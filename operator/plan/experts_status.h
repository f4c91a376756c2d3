// What the status of a deployment says about the balance of its experts. Pure.
#pragma once

#include <string>
#include <vector>

#include "operator/kube/object.h"
#include "operator/plan/experts_cycle.h"

namespace millrace::controller {

// The condition ExpertsBalanced, by the group that is worst off.
struct ExpertsCondition {
  std::string status;
  std::string reason;
  std::string message;
};
ExpertsCondition experts_condition(const std::vector<ExpertGroupStatus>& groups);

// status.experts. The last move that helped stays as it was in `previous` (may be null) while this operator has seen
// none itself.
kube::Json experts_json(const std::vector<ExpertGroupStatus>& groups, const kube::Json& previous);

}  // namespace millrace::controller
