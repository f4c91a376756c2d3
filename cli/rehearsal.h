// What would happen to a deployment if a zone failed, and when it is well again: the operator's own planner, on groups
// that come up at once. Pure.
#pragma once

#include <string>
#include <vector>

#include "operator/plan/plan.h"

namespace millrace::cli {

struct RehearsalInput {
  std::string deployment;
  controller::Spec spec;
  std::string revision;
  std::vector<controller::NodeView> nodes;
};

// In words. Throws common::Error when no node is in the zone.
std::string rehearse_failure(const RehearsalInput& input, const std::string& zone);

}  // namespace millrace::cli
