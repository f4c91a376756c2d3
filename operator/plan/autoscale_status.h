// What status says of autoscaling: the decision in force with what it was made from, and the condition. Pure.
#pragma once

#include <optional>
#include <string>

#include "operator/kube/object.h"
#include "operator/plan/autoscale.h"

namespace millrace::controller {

// The last decision that changed something, and when it was made. Later ones that confirm it are not recorded: status
// is written when something changes, not every second.
struct AutoscaleRecord {
  AutoscaleDecision decision;
  TimePoint at;
};

struct AutoscaleStatusInput {
  AutoscalingSpec spec;
  std::int32_t spec_replicas = 1;  // as the user wrote them
  std::int32_t replicas = 1;       // in force
  std::optional<AutoscaleRecord> record;
};

// The condition AutoscalingActive.
struct AutoscaleCondition {
  bool active = false;
  std::string reason;
  std::string message;
};
AutoscaleCondition autoscale_condition(const AutoscaleStatusInput& input);

// status.autoscaling. `previous` (may be null) is kept while this process has decided nothing itself. Null when there
// is nothing to say: the autoscaler is off.
kube::Json autoscale_status(const AutoscaleStatusInput& input, const kube::Json& previous);

// status.autoscaling.desiredReplicas of an earlier decision, also of an earlier process.
std::optional<std::int32_t> recorded_replicas(const kube::Json& status);

}  // namespace millrace::controller
