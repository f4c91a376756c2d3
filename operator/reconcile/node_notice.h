// What a node says about its own end: cordons, taints of autoscalers and clouds, deletion. Pure.
#pragma once

#include "operator/kube/object.h"
#include "operator/plan/placement.h"

namespace millrace::controller {

// The most urgent of all.
NodeNotice notice_on(const kube::Object& node);

}  // namespace millrace::controller
