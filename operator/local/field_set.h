// Server-side apply on one object: which manager owns which fields, and how a configuration is merged in. Lists whose
// items have a key (conditions by type, env by name, ...) are merged item by item, all others are one value.
#pragma once

#include <map>
#include <set>
#include <string>

#include "operator/kube/object.h"

namespace millrace::controller::local {

// Paths of leaves. An item of a keyed list is the step "[key]".
using FieldPath = std::vector<std::string>;
using FieldSet = std::set<FieldPath>;

FieldSet fields_of(const kube::Json& document);

class FieldOwners {
 public:
  // Merges `config` into `object`: fields that `manager` owned and no longer wants are removed unless somebody else
  // owns them. Without `force`, a field that another manager owns with another value throws common::Error{kConflict}.
  void apply(kube::Json& object, const kube::Json& config, const std::string& manager, bool force);

 private:
  void check_conflicts(const kube::Json& object, const kube::Json& config, const FieldSet& fields,
                       const std::string& manager) const;
  bool owned_by_others(const FieldPath& path, const std::string& manager) const;

  std::map<std::string, FieldSet> owned_;  // by manager
};

}  // namespace millrace::controller::local
