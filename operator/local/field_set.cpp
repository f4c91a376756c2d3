#include "operator/local/field_set.h"

#include <algorithm>
#include <array>

#include "common/error.h"

namespace millrace::controller::local {
namespace {

using kube::Json;

struct KeyedList {
  std::string_view field;
  std::array<const char*, 2> keys;  // the first that an item has
};
constexpr std::array<KeyedList, 11> kKeyedLists{{{"conditions", {"type", nullptr}},
                                                 {"containers", {"name", nullptr}},
                                                 {"containerStatuses", {"name", nullptr}},
                                                 {"env", {"name", nullptr}},
                                                 {"groups", {"name", nullptr}},
                                                 {"imagePullSecrets", {"name", nullptr}},
                                                 {"initContainers", {"name", nullptr}},
                                                 {"ownerReferences", {"uid", nullptr}},
                                                 {"ports", {"containerPort", "port"}},
                                                 {"volumeMounts", {"mountPath", nullptr}},
                                                 {"volumes", {"name", nullptr}}}};

// The key of an item of the list `field`; empty when the list is not merged by item.
std::string key_of(std::string_view field, const Json& item) {
  const auto list = std::find_if(kKeyedLists.begin(), kKeyedLists.end(),
                                 [&](const KeyedList& candidate) { return candidate.field == field; });
  if (list == kKeyedLists.end() || !item.is_object()) return "";
  for (const char* key : list->keys) {
    if (key != nullptr && item.contains(key)) return "[" + item[key].dump() + "]";
  }
  return "";
}

bool is_keyed(std::string_view field, const Json& list) {
  return list.is_array() && !list.empty() &&
         std::all_of(list.begin(), list.end(), [&](const Json& item) { return !key_of(field, item).empty(); });
}

Json* find_item(Json& list, std::string_view field, const std::string& key) {
  for (Json& item : list) {
    if (key_of(field, item) == key) return &item;
  }
  return nullptr;
}

void collect(const Json& value, std::string_view field, FieldPath& path, FieldSet& fields) {
  if (value.is_object() && !value.empty()) {
    for (const auto& item : value.items()) {
      path.push_back(item.key());
      collect(item.value(), item.key(), path, fields);
      path.pop_back();
    }
  } else if (is_keyed(field, value)) {
    for (const Json& item : value) {
      path.push_back(key_of(field, item));
      collect(item, "", path, fields);
      path.pop_back();
    }
  } else {
    fields.insert(path);
  }
}

void merge(Json& into, const Json& config, std::string_view field) {
  if (config.is_object() && into.is_object()) {
    for (const auto& item : config.items()) {
      if (into.contains(item.key())) {
        merge(into[item.key()], item.value(), item.key());
      } else {
        into[item.key()] = item.value();
      }
    }
  } else if (is_keyed(field, config) && into.is_array()) {
    for (const Json& item : config) {
      if (Json* found = find_item(into, field, key_of(field, item))) {
        merge(*found, item, "");
      } else {
        into.push_back(item);
      }
    }
  } else {
    into = config;
  }
}

// Removes the leaf, and what it leaves empty above it.
void erase(Json& value, const FieldPath& path, std::size_t step) {
  const std::string& name = path[step];
  const bool last = step + 1 == path.size();
  if (value.is_object() && value.contains(name)) {
    Json& inner = value[name];
    if (!last) erase(inner, path, step + 1);
    if (last || (inner.is_structured() && inner.empty())) value.erase(name);
  } else if (value.is_array() && step > 0) {
    Json* item = find_item(value, path[step - 1], name);
    if (item == nullptr) return;
    if (!last) erase(*item, path, step + 1);
    if (last || item->empty()) value.erase(value.begin() + (item - &value.front()));
  }
}

// Whether the path ends at a field by which its item is found. Such fields go last, and only with their item.
bool is_key(const FieldPath& path) {
  if (path.size() < 3 || !path[path.size() - 2].starts_with('[')) return false;
  const auto list = std::find_if(kKeyedLists.begin(), kKeyedLists.end(),
                                 [&](const KeyedList& candidate) { return candidate.field == path[path.size() - 3]; });
  return list != kKeyedLists.end() && std::any_of(list->keys.begin(), list->keys.end(), [&](const char* key) {
           return key != nullptr && path.back() == key;
         });
}

const Json* find(const Json& value, const FieldPath& path) {
  const Json* at = &value;
  for (std::size_t step = 0; step < path.size(); ++step) {
    if (at->is_object() && at->contains(path[step])) {
      at = &(*at)[path[step]];
    } else if (at->is_array() && step > 0) {
      at = find_item(const_cast<Json&>(*at), path[step - 1], path[step]);
      if (at == nullptr) return nullptr;
    } else {
      return nullptr;
    }
  }
  return at;
}

}  // namespace

FieldSet fields_of(const Json& document) {
  FieldSet fields;
  FieldPath path;
  collect(document, "", path, fields);
  return fields;
}

const FieldManager* FieldOwners::other_owner(const FieldPath& path, const FieldManager& manager) const {
  const auto found = std::find_if(owned_.begin(), owned_.end(), [&](const auto& item) {
    return item.first != manager && item.second.contains(path);
  });
  return found == owned_.end() ? nullptr : &found->first;
}

void FieldOwners::check_conflicts(const Json& object, const Json& config, const FieldSet& fields,
                                  const FieldManager& manager) const {
  for (const FieldPath& path : fields) {
    const FieldManager* owner = other_owner(path, manager);
    const Json* stored = find(object, path);
    if (owner == nullptr || stored == nullptr || *stored == *find(config, path)) continue;
    std::string name;
    for (const std::string& step : path) name += (step.starts_with('[') ? "" : ".") + step;
    throw common::Error(common::Code::kConflict,
                        "Apply failed with 1 conflict: conflict with \"" + owner->name + "\": " + name);
  }
}

void FieldOwners::update(const Json& before, const Json& after, const FieldManager& manager) {
  const FieldSet old_fields = fields_of(before);
  const FieldSet new_fields = fields_of(after);
  FieldSet changed;
  for (const FieldPath& path : new_fields) {
    const Json* old = find(before, path);
    if (old == nullptr || *old != *find(after, path)) changed.insert(path);
  }
  for (auto& [owner, owned] : owned_) {
    std::erase_if(owned, [&](const FieldPath& path) {
      return changed.contains(path) || (old_fields.contains(path) && !new_fields.contains(path));
    });
  }
  owned_[manager].merge(changed);
}

void FieldOwners::apply(Json& object, const Json& config, const FieldManager& manager, bool force) {
  FieldSet fields = fields_of(config);
  if (!force) check_conflicts(object, config, fields, manager);
  for (const bool keys : {false, true}) {
    for (const FieldPath& path : owned_[manager]) {
      if (is_key(path) != keys || fields.contains(path) || other_owner(path, manager) != nullptr) continue;
      const FieldPath item(path.begin(), path.end() - (keys ? 1 : 0));
      const Json* rest = find(object, item);
      const bool shared = keys && rest != nullptr && rest->size() > 1;  // somebody else has fields in the item
      if (!shared) erase(object, item, 0);
    }
  }
  merge(object, config, "");
  if (force) {
    for (auto& [other, owned] : owned_) {
      if (other != manager) std::erase_if(owned, [&](const FieldPath& path) { return fields.contains(path); });
    }
  }
  owned_[manager] = std::move(fields);
}

}  // namespace millrace::controller::local
