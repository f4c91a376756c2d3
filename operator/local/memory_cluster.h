// A cluster without machines: the API server's behaviour that controllers rely on, over memory. Resource versions,
// watches with history, generations, status and scale subresources, server-side apply with field managers, deletion
// with grace periods and finalizers, garbage collection by owner, evictions with disruption budgets. No admission and
// no schema: what is stored is what was sent.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "operator/kube/client.h"
#include "operator/local/field_set.h"

namespace millrace::controller::local {

class MemoryCluster final : public kube::Client {
 public:
  using Clock = std::function<std::chrono::system_clock::time_point()>;

  explicit MemoryCluster(Clock clock = [] { return std::chrono::system_clock::now(); }) : clock_(std::move(clock)) {}

  std::optional<kube::Object> get(const kube::ResourceKind& kind, const kube::ObjectKey& key) override;
  kube::ListResult list(const kube::ResourceKind& kind, const kube::ListOptions& options) override;
  kube::Object create(const kube::ResourceKind& kind, const kube::Object& object) override;
  using Client::apply;
  kube::Object apply(const kube::ResourceKind& kind, const kube::Object& object,
                     const kube::ApplyOptions& options) override;
  using Client::patch;
  kube::Object patch(const kube::ResourceKind& kind, const kube::ObjectKey& key, const kube::Json& merge_patch,
                     const kube::PatchOptions& options) override;
  using Client::remove;
  bool remove(const kube::ResourceKind& kind, const kube::ObjectKey& key, const kube::RemoveOptions& options) override;
  kube::WatchOutcome watch(const kube::ResourceKind& kind, const kube::WatchOptions& options,
                           const kube::WatchHandler& handler, std::stop_token stop) override;
  kube::Eviction evict(const kube::ObjectKey& pod, std::optional<std::int64_t> grace_period) override;

  // Changes so far; for tests that count writes.
  std::uint64_t version() const;

 private:
  struct Stored {
    kube::ResourceKind kind;
    kube::Object object;
    FieldOwners owners;
  };
  using StoreKey = std::pair<std::string, kube::ObjectKey>;  // plural and group, name
  struct Happened {
    std::uint64_t version;
    std::string kind;
    kube::EventType type;
    kube::Object before;  // kModified: what it was; decides whether a selector lost it
    kube::Object object;
  };

  Stored& at(const kube::ResourceKind& kind, const kube::ObjectKey& key);  // throws kNotFound
  kube::Object insert(const kube::ResourceKind& kind, kube::Object object, FieldOwners owners);
  kube::Object replace(Stored& stored, kube::Object changed);
  void erase(const StoreKey& key);
  void collect_garbage(const std::string& owner_uid);
  bool has_living_owner(const kube::Object& object) const;  // or none at all: nobody has to own it
  kube::Object add(const kube::ResourceKind& kind, kube::Object object, FieldOwners owners);
  void happened(const Stored& stored, kube::EventType type, kube::Object before);
  bool remove_locked(const kube::ResourceKind& kind, const kube::ObjectKey& key, const kube::RemoveOptions& options);
  bool blocked_by_budget(const kube::Object& pod) const;

  const Clock clock_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<StoreKey, Stored> objects_;
  std::set<std::string> uids_;  // of what exists
  std::deque<Happened> history_;
  std::uint64_t version_ = 0;
  std::uint64_t next_uid_ = 1;
};

}  // namespace millrace::controller::local
