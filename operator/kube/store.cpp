#include "operator/kube/store.h"

#include <algorithm>
#include <cassert>

namespace millrace::controller::kube {

Store::Store(std::vector<std::string> index_labels, StoreForm form)
    : index_labels_(std::move(index_labels)), form_(form) {}

Store::Slot Store::kept(ObjectPtr object) const {
  if (form_ == StoreForm::kWhole) return {std::move(object), {}};
  return {nullptr, pack(*object)};
}

// Not under the lock: unpacking takes its time.
ObjectPtr Store::object_of(const Slot& slot) {
  return slot.whole ? slot.whole : std::make_shared<const Object>(unpack(slot.packed));
}

std::vector<ObjectPtr> Store::objects_of(const std::vector<Slot>& slots) {
  std::vector<ObjectPtr> objects;
  objects.reserve(slots.size());
  for (const Slot& slot : slots) objects.push_back(object_of(slot));
  return objects;
}

ObjectPtr Store::get(const ObjectKey& key) const {
  std::unique_lock lock(mutex_);
  const auto it = slots_.find(key);
  if (it == slots_.end()) return nullptr;
  const Slot slot = it->second;
  lock.unlock();
  return object_of(slot);
}

std::vector<ObjectPtr> Store::list() const {
  std::vector<Slot> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, slot] : slots_) all.push_back(slot);
  }
  return objects_of(all);
}

std::vector<ObjectPtr> Store::list(const std::string& ns) const {
  std::vector<Slot> found;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = slots_.lower_bound({ns, ""}); it != slots_.end() && it->first.ns == ns; ++it) {
      found.push_back(it->second);
    }
  }
  return objects_of(found);
}

std::vector<ObjectPtr> Store::with_label(const std::string& label, const std::string& value) const {
  assert(std::find(index_labels_.begin(), index_labels_.end(), label) != index_labels_.end());
  std::vector<Slot> found;
  {
    const std::lock_guard lock(mutex_);
    const auto it = by_label_.find({label, value});
    if (it == by_label_.end()) return {};
    for (const Slots::value_type* item : it->second) found.push_back(item->second);
  }
  return objects_of(found);
}

std::vector<ObjectKey> Store::keys() const {
  const std::lock_guard lock(mutex_);
  std::vector<ObjectKey> keys;
  keys.reserve(slots_.size());
  for (const auto& [key, slot] : slots_) keys.push_back(key);
  return keys;
}

void Store::for_each(const std::function<void(const Object&)>& visit) const {
  for (const ObjectKey& key : keys()) {
    if (const ObjectPtr object = get(key)) visit(*object);
  }
}

std::size_t Store::size() const {
  const std::lock_guard lock(mutex_);
  return slots_.size();
}

std::uint64_t Store::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

std::vector<Change> Store::put(Object object, bool from_list) {
  const std::lock_guard lock(mutex_);
  return put_locked(std::move(object), from_list);
}

std::vector<Change> Store::keep_only(const std::set<ObjectKey>& listed) {
  const std::lock_guard lock(mutex_);
  std::vector<ObjectKey> gone;
  for (const auto& [key, slot] : slots_) {
    if (!listed.contains(key)) gone.push_back(key);
  }
  std::vector<Change> changes;
  for (const ObjectKey& key : gone) {
    for (Change& change : remove_locked(key, true)) changes.push_back(std::move(change));
  }
  return changes;
}

std::vector<Change> Store::remove(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  return remove_locked(key, false);
}

std::vector<Change> Store::put_locked(Object object, bool from_list) {
  strip_bookkeeping(object);
  const ObjectKey key = object.key();
  if (key.name.empty()) return {};  // not an object that can be named
  const auto [item, is_new] = slots_.try_emplace(key);
  const ObjectPtr before = is_new ? nullptr : object_of(item->second);
  if (before && before->uid() != object.uid()) {
    // Deleted and made again between two looks: whoever waits for the deletion must see it.
    std::vector<Change> changes = remove_locked(key, from_list);
    std::vector<Change> added = put_locked(std::move(object), from_list);
    std::move(added.begin(), added.end(), std::back_inserter(changes));
    return changes;
  }
  if (before && !before->resource_version().empty() && before->resource_version() == object.resource_version())
    return {};
  if (before) unindex_locked(*item, *before);
  const auto after = std::make_shared<const Object>(std::move(object));
  item->second = kept(after);
  index_locked(*item, *after);
  ++changes_;
  return {{before ? Change::Type::kUpdated : Change::Type::kAdded, before, after, from_list}};
}

std::vector<Change> Store::remove_locked(const ObjectKey& key, bool from_list) {
  const auto item = slots_.find(key);
  if (item == slots_.end()) return {};
  const ObjectPtr before = object_of(item->second);
  unindex_locked(*item, *before);
  slots_.erase(item);
  ++changes_;
  return {{Change::Type::kDeleted, before, nullptr, from_list}};
}

void Store::index_locked(const Slots::value_type& item, const Object& object) {
  for (const std::string& label : index_labels_) {
    if (const auto value = object.label(label)) by_label_[{label, *value}].insert(&item);
  }
}

void Store::unindex_locked(const Slots::value_type& item, const Object& object) {
  for (const std::string& label : index_labels_) {
    const auto value = object.label(label);
    if (!value) continue;
    const auto it = by_label_.find({label, *value});
    if (it == by_label_.end()) continue;
    it->second.erase(&item);
    if (it->second.empty()) by_label_.erase(it);
  }
}

}  // namespace millrace::controller::kube
