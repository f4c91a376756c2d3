// The difference of two JSON documents: as a merge patch (RFC 7386) that makes one of the other, and field by field.
#pragma once

#include <string>
#include <vector>

#include "operator/kube/object.h"

namespace millrace::cli {

// Empty when nothing differs. Both are objects.
controller::kube::Json merge_patch_between(const controller::kube::Json& from, const controller::kube::Json& to);

struct FieldChange {
  std::string path;               // "spec.model.source"
  controller::kube::Json before;  // null: was not there
  controller::kube::Json after;
};

// Lists count as one value. Ordered by path.
std::vector<FieldChange> field_changes(const controller::kube::Json& from, const controller::kube::Json& to,
                                       const std::string& path);

}  // namespace millrace::cli
