#include "operator/kube/store.h"

#include <algorithm>
#include <cassert>

namespace millrace::controller::kube {

Store::Store(std::vector<std::string> index_labels) : index_labels_(std::move(index_labels)) {}

ObjectPtr Store::get(const ObjectKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto it = objects_.find(key);
  return it == objects_.end() ? nullptr : it->second;
}

std::vector<ObjectPtr> Store::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<ObjectPtr> all;
  all.reserve(objects_.size());
  for (const auto& [key, object] : objects_) all.push_back(object);
  return all;
}

std::vector<ObjectPtr> Store::list(const std::string& ns) const {
  const std::lock_guard lock(mutex_);
  std::vector<ObjectPtr> found;
  for (auto it = objects_.lower_bound({ns, ""}); it != objects_.end() && it->first.ns == ns; ++it) {
    found.push_back(it->second);
  }
  return found;
}

std::vector<ObjectPtr> Store::with_label(const std::string& label, const std::string& value) const {
  assert(std::find(index_labels_.begin(), index_labels_.end(), label) != index_labels_.end());
  const std::lock_guard lock(mutex_);
  const auto it = by_label_.find({label, value});
  return it == by_label_.end() ? std::vector<ObjectPtr>{} : pick_locked(it->second);
}

std::vector<ObjectPtr> Store::with_owner(const std::string& owner_uid) const {
  const std::lock_guard lock(mutex_);
  const auto it = by_owner_.find(owner_uid);
  return it == by_owner_.end() ? std::vector<ObjectPtr>{} : pick_locked(it->second);
}

std::size_t Store::size() const {
  const std::lock_guard lock(mutex_);
  return objects_.size();
}

std::vector<Change> Store::replace(std::vector<Object> objects) {
  const std::lock_guard lock(mutex_);
  Keys gone;
  for (const auto& [key, object] : objects_) gone.insert(key);
  for (const Object& object : objects) gone.erase(object.key());
  std::vector<Change> changes;
  const auto append = [&](std::vector<Change> more) {
    std::move(more.begin(), more.end(), std::back_inserter(changes));
  };
  for (const ObjectKey& key : gone) append(remove_locked(key, true));
  for (Object& object : objects) append(put_locked(std::move(object), true));
  return changes;
}

std::vector<Change> Store::put(Object object) {
  const std::lock_guard lock(mutex_);
  return put_locked(std::move(object), false);
}

std::vector<Change> Store::remove(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  return remove_locked(key, false);
}

std::vector<Change> Store::put_locked(Object object, bool from_list) {
  strip_bookkeeping(object);
  const ObjectKey key = object.key();
  if (key.name.empty()) return {};  // not an object that can be named
  ObjectPtr& slot = objects_[key];
  ObjectPtr before = slot;
  if (before && before->uid() != object.uid()) {
    // Deleted and made again between two looks: whoever waits for the deletion must see it.
    std::vector<Change> changes = remove_locked(key, from_list);
    std::vector<Change> added = put_locked(std::move(object), from_list);
    std::move(added.begin(), added.end(), std::back_inserter(changes));
    return changes;
  }
  if (before && !before->resource_version().empty() && before->resource_version() == object.resource_version())
    return {};
  if (before) unindex_locked(*before);
  slot = std::make_shared<const Object>(std::move(object));
  index_locked(*slot);
  return {{before ? Change::Type::kUpdated : Change::Type::kAdded, before, slot, from_list}};
}

std::vector<Change> Store::remove_locked(const ObjectKey& key, bool from_list) {
  const auto it = objects_.find(key);
  if (it == objects_.end()) return {};
  ObjectPtr before = it->second;
  unindex_locked(*before);
  objects_.erase(it);
  return {{Change::Type::kDeleted, before, nullptr, from_list}};
}

void Store::index_locked(const Object& object) {
  for (const std::string& label : index_labels_) {
    if (const auto value = object.label(label)) by_label_[{label, *value}].insert(object.key());
  }
  for (const OwnerReference& owner : object.owners()) by_owner_[owner.uid].insert(object.key());
}

void Store::unindex_locked(const Object& object) {
  for (const std::string& label : index_labels_) {
    const auto value = object.label(label);
    if (!value) continue;
    const auto it = by_label_.find({label, *value});
    if (it == by_label_.end()) continue;
    it->second.erase(object.key());
    if (it->second.empty()) by_label_.erase(it);
  }
  for (const OwnerReference& owner : object.owners()) {
    const auto it = by_owner_.find(owner.uid);
    if (it == by_owner_.end()) continue;
    it->second.erase(object.key());
    if (it->second.empty()) by_owner_.erase(it);
  }
}

std::vector<ObjectPtr> Store::pick_locked(const Keys& keys) const {
  std::vector<ObjectPtr> found;
  found.reserve(keys.size());
  for (const ObjectKey& key : keys) found.push_back(objects_.at(key));
  return found;
}

}  // namespace millrace::controller::kube
