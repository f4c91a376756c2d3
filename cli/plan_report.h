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

// `zones`: pretended, when the spec names none; empty: nodes without zones.
PlanReport report_plan(const controller::kube::Object& object, const std::vector<std::string>& zones);

}  // namespace millrace::cli
