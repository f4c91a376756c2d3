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

// What status remembers of the decisions of an earlier process.
struct EarlierDecision {
  std::int32_t replicas = 1;
  bool active = false;                    // it was decided from load, not held for want of it
  std::optional<TimePoint> scaled_up_at;  // by that decision; empty: it did not ask for more
  double scaled_up_rate = 0;              // arrivals per second then
};

struct AutoscaleStatusInput {
  AutoscalingSpec spec;
  std::int32_t spec_replicas = 1;  // as the user wrote them
  std::int32_t replicas = 1;       // in force
  std::optional<AutoscaleRecord> record;
  std::optional<EarlierDecision> earlier;
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

// From status.autoscaling of the whole status; empty when it names no number of replicas.
std::optional<EarlierDecision> earlier_decision(const kube::Json& status);

// What a fresh start knows of an earlier process: when replicas were added last, and at which load. So a restart gives
// up nothing that the first process would have kept.
AutoscaleHistory history_after(const std::optional<EarlierDecision>& earlier);

}  // namespace millrace::controller
