// Keeps voluntary evictions (node drains) to one pod at a time.
#pragma once

#include "operator/resources/child.h"

namespace millrace::controller {

// A count of pods that must stay, not a share or an allowance: those are computed from the owner's scale, which counts
// groups.
kube::Object build_disruption_budget(const Parent& parent);

}  // namespace millrace::controller
