// What the caches keep of objects: a thousand deployments have ten thousand children, most of whose bytes nobody reads.
#pragma once

#include <functional>

#include "operator/kube/object.h"

namespace millrace::controller {

// Drops what this operator never reads of objects of the kind. What it compares with what it wants (spec and metadata
// of the children it applies) stays. Empty: all is read.
std::function<void(kube::Object&)> trim_of(const kube::ResourceKind& kind);

}  // namespace millrace::controller
