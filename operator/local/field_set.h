// Server-side apply on one object: which manager owns which fields, and how a configuration is merged in. Lists whose
// items have a key (conditions by type, env by name, ...) are merged item by item, all others are one value.
#pragma once

#include <compare>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "operator/kube/object.h"

namespace millrace::controller::local {

// Paths of leaves. An item of a keyed list is the step "[key]".
using FieldPath = std::vector<std::string>;
using FieldSet = std::set<FieldPath>;

FieldSet fields_of(const kube::Json& document);

// Who wrote fields, and how. One name that writes in two ways is two managers, as on an API server.
struct FieldManager {
  std::string name;
  std::string subresource = {};
  bool applies = true;  // false: created, patched

  auto operator<=>(const FieldManager&) const = default;
};

class FieldOwners {
 public:
  // Merges `config` into `object`: fields that `manager` owned and no longer wants are removed unless somebody else
  // owns them. Without `force`, a field that another manager owns with another value throws common::Error{kConflict}.
  void apply(kube::Json& object, const kube::Json& config, const FieldManager& manager, bool force);

  // After a write that was no apply: the fields that it changed are `manager`'s alone.
  void update(const kube::Json& before, const kube::Json& after, const FieldManager& manager);

 private:
  void check_conflicts(const kube::Json& object, const kube::Json& config, const FieldSet& fields,
                       const FieldManager& manager) const;
  const FieldManager* other_owner(const FieldPath& path, const FieldManager& manager) const;  // null: nobody else

  std::map<FieldManager, FieldSet> owned_;
};

}  // namespace millrace::controller::local
