// The cache of one kind: what the informer last saw on the server, indexed. Reads never block on I/O.
// Thread-safe. Objects are immutable and shared: a reader may hold one while the informer replaces it, hence
// shared_ptr.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
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

// How objects are kept. Packed ones take about a tenth of the memory, and each read of one some ten microseconds.
enum class StoreForm { kWhole, kPacked };

class Store {
 public:
  // `index_labels`: label names that with_label() can be asked for.
  explicit Store(std::vector<std::string> index_labels = {}, StoreForm form = StoreForm::kWhole);

  ObjectPtr get(const ObjectKey& key) const;  // null when absent
  std::vector<ObjectPtr> list() const;        // ordered by key
  std::vector<ObjectPtr> list(const std::string& ns) const;
  // `label` must be one of index_labels. Ordered by key.
  std::vector<ObjectPtr> with_label(const std::string& label, const std::string& value) const;
  std::vector<ObjectKey> keys() const;
  // One after another, without having all of them at hand at the same time; not those that go meanwhile.
  void for_each(const std::function<void(const Object&)>& visit) const;
  std::size_t size() const;
  std::uint64_t changes() const;  // so far: the same number means the same content

  // Writers (the informer's thread). Each returns what changed; an object whose resourceVersion is the same as the
  // stored one is no change. managedFields and the last-applied annotation are dropped on the way in.
  std::vector<Change> put(Object object, bool from_list = false);
  std::vector<Change> keep_only(const std::set<ObjectKey>& listed);  // after a list: everything else is deleted
  std::vector<Change> remove(const ObjectKey& key);

 private:
  struct Slot {  // one of them
    ObjectPtr whole;
    std::string packed;
  };
  using Slots = std::map<ObjectKey, Slot>;
  struct ByKey {
    bool operator()(const Slots::value_type* a, const Slots::value_type* b) const { return a->first < b->first; }
  };
  using Found = std::set<const Slots::value_type*, ByKey>;

  Slot kept(ObjectPtr object) const;
  static ObjectPtr object_of(const Slot& slot);
  static std::vector<ObjectPtr> objects_of(const std::vector<Slot>& slots);
  std::vector<Change> put_locked(Object object, bool from_list);
  std::vector<Change> remove_locked(const ObjectKey& key, bool from_list);
  void index_locked(const Slots::value_type& item, const Object& object);
  void unindex_locked(const Slots::value_type& item, const Object& object);

  const std::vector<std::string> index_labels_;
  const StoreForm form_;
  mutable std::mutex mutex_;
  std::uint64_t changes_ = 0;
  Slots slots_;
  std::map<std::pair<std::string, std::string>, Found> by_label_;  // (label, value)
};

}  // namespace millrace::controller::kube
