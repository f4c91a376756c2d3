// A pod that reads the model of a revision and ends: no devices, no ports, in no group. It runs the revision's own
// image and sees the model as the pods of its groups will.
#pragma once

#include <optional>

#include "operator/plan/verification.h"
#include "operator/resources/child.h"

namespace millrace::controller {

// On such a pod: the revision.
inline constexpr const char* kVerifiesLabel = "millrace.dev/verifies";

// `node`: where it runs, whether or not the node takes new pods.
kube::Object build_verifier_pod(const Parent& parent, const std::string& node);

// The revision that a stored pod verifies; empty for any other pod.
std::optional<std::string> revision_verified_by(const kube::Object& pod);

}  // namespace millrace::controller
