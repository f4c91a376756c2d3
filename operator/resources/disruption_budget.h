// Holds voluntary evictions (node drains) back until the operator has moved the group: with maxUnavailable 0 no pod
// that serves may be evicted before a successor serves, else one at a time. Pods without traffic (draining, starting,
// broken) never hold a drain back.
#pragma once

#include "operator/resources/child.h"

namespace millrace::controller {

// A count of pods that must stay, not a share or an allowance: those are computed from the owner's scale, which counts
// groups.
kube::Object build_disruption_budget(const Parent& parent);

}  // namespace millrace::controller
