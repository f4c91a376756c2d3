// Whether a group should get traffic. Taking it away needs evidence, and so does giving it: when the operator merely
// cannot see a group (its own network may be what is broken), what was decided last stays.
#pragma once

#include "operator/plan/group.h"

namespace millrace::controller {

enum class Gate {
  kOpen,    // route
  kClosed,  // take out of traffic
  kKeep,    // no evidence: leave as it is
};

Gate wanted_gate(const GroupView& group);

}  // namespace millrace::controller
