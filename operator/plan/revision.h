// The revision of a deployment: a short hash of everything that shapes its pods. Groups of one revision are
// interchangeable; a change of it replaces every group, one by one.
#pragma once

#include <string>

#include "operator/api/model_deployment.h"

namespace millrace::controller {

// The pod-shaping part of the spec. Fields at their default are left out, so that a field added in a later version of
// the operator does not change the hash of objects that do not use it.
Json pod_shape(const Spec& spec);

// Eight characters that are good in names and labels. `spec.image` must be resolved: an operator with another default
// image makes another revision.
std::string revision_of(const Spec& spec);

std::string short_hash(const std::string& text);  // 8 characters of [a-z0-9]
// Of the document's canonical text.
std::string short_hash(const Json& json);

}  // namespace millrace::controller
