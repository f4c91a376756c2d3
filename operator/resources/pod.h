// A pod of a group: one agent that hosts `devices.perPod` ranks.
#pragma once

#include <optional>

#include "operator/plan/membership.h"
#include "operator/plan/plan.h"
#include "operator/resources/child.h"

namespace millrace::controller {

inline constexpr const char* kAgentContainer = "agent";
inline constexpr const char* kModelPath = "/model";  // in the container
inline constexpr const char* kModelVolume = "millrace-model";
inline constexpr const char* kTmpVolume = "millrace-tmp";

kube::Object build_pod(const Parent& parent, const CreatePod& wanted);

// How the group of a stored pod is sharded, which the current spec no longer tells for an old revision. Empty when the
// pod was not made by build_pod.
std::optional<GroupShape> shape_of_pod(const kube::Object& pod);

// The Secret whose certificate the agent of a stored pod shows, which the current spec may no longer name. Empty when
// it speaks plain HTTP.
std::string tls_secret_of_pod(const kube::Object& pod);

}  // namespace millrace::controller
