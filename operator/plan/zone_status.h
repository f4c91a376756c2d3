// What a status says about zones: the state of each, and whether the loss of any one would be survived. Pure.
#pragma once

#include <string>
#include <vector>

#include "operator/kube/object.h"
#include "operator/plan/group.h"
#include "operator/plan/placement.h"
#include "operator/plan/zone_health.h"

namespace millrace::controller {

struct ZoneStatusInput {
  const std::vector<GroupView>& groups;
  const ZoneHealths& health;  // zones not named are healthy
  const Supply& supply;
};

// status.zoneStates: by name. A state that stays keeps the time and the reason that `previous` (the list as it was, or
// null) has, so that an operator that restarts writes nothing.
kube::Json zone_states(const ZoneStatusInput& input, const kube::Json& previous, TimePoint now);

struct ZoneChange {
  std::string zone;
  std::string state;
  std::string reason;  // in words
};

// Between two such lists. A zone that is new and well is no change.
std::vector<ZoneChange> zone_changes(const kube::Json& before, const kube::Json& after);

struct Redundancy {
  bool redundant = false;
  std::string reason;
  std::string message;
};

// Whether groups would still serve without any one of the zones.
Redundancy redundancy_of(const ZoneStatusInput& input);

}  // namespace millrace::controller
