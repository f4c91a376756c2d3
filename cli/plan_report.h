// What Millrace would make of a ModelDeployment, in words. Pure.
#pragma once

#include <string>
#include <vector>

#include "operator/kube/object.h"

namespace millrace::cli {

struct PlanReport {
  std::string text;
  bool refused = false;
};

// `zones`: pretended, when the spec names none; empty: nodes without zones. `failing_zone`: also what would happen if
// it failed and came back; empty: none does. Throws common::Error when there is no such zone.
PlanReport report_plan(const controller::kube::Object& object, const std::vector<std::string>& zones,
                       const std::string& failing_zone);

}  // namespace millrace::cli
