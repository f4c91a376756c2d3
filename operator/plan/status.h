// What a deployment's status says: counts, groups and conditions from the same view that the plan was made from. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/plan/autoscale_status.h"
#include "operator/plan/experts_status.h"
#include "operator/plan/plan.h"
#include "operator/plan/rollout_status.h"
#include "operator/plan/zone_status.h"

namespace millrace::controller {

struct Condition {
  std::string type;
  std::string status;  // "True", "False", "Unknown"
  std::string reason;  // PascalCase
  std::string message;
};

// What status is made of. `problems` non-empty: the spec was refused and the rest but `observed` is void.
struct StatusInput {
  std::string deployment;
  std::int64_t generation = 0;
  std::vector<std::string> problems;
  Spec spec;
  std::string revision;
  std::string endpoint;
  Observed observed;
  RolloutReport rollout;
  std::optional<AutoscaleStatusInput> autoscaling;  // empty: the spec does not speak of it
  Supply supply;
  std::vector<Move> moves;                                // groups that should be somewhere else
  std::map<std::string, std::int32_t> waiting;            // by zone: groups that are not made until it is well again
  std::string missing;                                    // what only a person can provide, and how; empty: nothing
  std::optional<std::vector<ExpertGroupStatus>> experts;  // of the groups that serve; empty: not asked for
  std::string error;  // why the last reconcile could not do its work; empty: it could
};

// In the order in which they are shown.
std::vector<Condition> conditions_of(const StatusInput& input);

// The whole status object. `previous` (may be null) gives the transition times of conditions that did not change and
// the current revision of a rollout that has not finished.
Json status_of(const StatusInput& input, const Json& previous, TimePoint now);

}  // namespace millrace::controller
