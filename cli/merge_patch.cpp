#include "cli/merge_patch.h"

#include <set>

namespace millrace::cli {
namespace {

using controller::kube::Json;

std::set<std::string> keys_of(const Json& a, const Json& b) {
  std::set<std::string> keys;
  for (const Json* object : {&a, &b}) {
    for (const auto& item : object->items()) keys.insert(item.key());
  }
  return keys;
}

Json value_at(const Json& object, const std::string& key) {
  return object.contains(key) ? object[key] : Json();
}

}  // namespace

Json merge_patch_between(const Json& from, const Json& to) {
  Json patch = Json::object();
  for (const std::string& key : keys_of(from, to)) {
    const Json before = value_at(from, key);
    const Json after = value_at(to, key);
    if (before == after) continue;
    patch[key] = before.is_object() && after.is_object() ? merge_patch_between(before, after) : after;
  }
  return patch;
}

std::vector<FieldChange> field_changes(const Json& from, const Json& to, const std::string& path) {
  std::vector<FieldChange> changes;
  if (from == to) return changes;
  if (!from.is_object() || !to.is_object()) return {{path, from, to}};
  for (const std::string& key : keys_of(from, to)) {
    for (FieldChange& change : field_changes(value_at(from, key), value_at(to, key), path + "." + key)) {
      changes.push_back(std::move(change));
    }
  }
  return changes;
}

}  // namespace millrace::cli
