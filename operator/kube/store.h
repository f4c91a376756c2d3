// The cache of one kind: what the informer last saw on the server, indexed. Reads never block on I/O.
// Thread-safe. Objects are immutable and shared: a reader may hold one while the informer replaces it, hence
// shared_ptr.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "operator/kube/object.h"

namespace millrace::controller::kube {

using ObjectPtr = std::shared_ptr<const Object>;

struct Change {
  enum class Type { kAdded, kUpdated, kDeleted };
  Type type;
  ObjectPtr before;  // null for kAdded
  ObjectPtr after;   // null for kDeleted
  bool from_list;    // found by a list, not by a watch event: many come at once, give them low priority

  const Object& object() const { return after ? *after : *before; }
};

class Store {
 public:
  // `index_labels`: label names that with_label() can be asked for.
  explicit Store(std::vector<std::string> index_labels = {});

  ObjectPtr get(const ObjectKey& key) const;  // null when absent
  std::vector<ObjectPtr> list() const;        // ordered by key
  std::vector<ObjectPtr> list(const std::string& ns) const;
  // `label` must be one of index_labels. Ordered by key.
  std::vector<ObjectPtr> with_label(const std::string& label, const std::string& value) const;
  std::vector<ObjectPtr> with_owner(const std::string& owner_uid) const;
  std::size_t size() const;

  // Writers (the informer's thread). Each returns what changed; an object whose resourceVersion is the same as the
  // stored one is no change. managedFields and the last-applied annotation are dropped on the way in.
  std::vector<Change> replace(std::vector<Object> objects);  // everything else is deleted
  std::vector<Change> put(Object object);
  std::vector<Change> remove(const ObjectKey& key);

 private:
  using Keys = std::set<ObjectKey>;

  std::vector<Change> put_locked(Object object, bool from_list);
  std::vector<Change> remove_locked(const ObjectKey& key, bool from_list);
  void index_locked(const Object& object);
  void unindex_locked(const Object& object);
  std::vector<ObjectPtr> pick_locked(const Keys& keys) const;

  const std::vector<std::string> index_labels_;
  mutable std::mutex mutex_;
  std::map<ObjectKey, ObjectPtr> objects_;
  std::map<std::pair<std::string, std::string>, Keys> by_label_;  // (label, value)
  std::unordered_map<std::string, Keys> by_owner_;                // owner uid
};

}  // namespace millrace::controller::kube
