// Whether a stored object already is what would be applied, so that a second look writes nothing. Pure.
#pragma once

#include "operator/kube/object.h"

namespace millrace::controller {

// `wanted` with a hash of itself in an annotation: a field that is no longer wanted changes the hash.
kube::Object with_applied_mark(kube::Object wanted);

// `stored` carries the mark of `wanted` and still has every field of it. Fields of others (defaults, annotations of
// users) do not matter.
bool is_as_wanted(const kube::Object& wanted_with_mark, const kube::Object& stored);

// Equal but for the order of lists whose items have a "type" or a "name".
bool same_status(const kube::Json& a, const kube::Json& b);

}  // namespace millrace::controller
