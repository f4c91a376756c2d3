// The world of world.h with an operator that can be stopped at any of its writes and started anew, knowing nothing.
// Agents remember what they were told; kubelets of cut-off zones do nothing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/operator/reconcile/faults.h"
#include "tests/operator/reconcile/played_experts.h"
#include "tests/operator/reconcile/world.h"

namespace millrace::controller::testing {

// Reads each kind once for each version of the cluster and hands out what it holds, as informers do.
class SharingReader : public ClusterReader {
 public:
  explicit SharingReader(local::MemoryCluster& cluster) : cluster_(cluster) {}

  virtual std::vector<kube::ObjectPtr> all(const kube::ResourceKind& kind) const;

  kube::ObjectPtr get(const kube::ResourceKind& kind, const kube::ObjectKey& key) const final;
  std::vector<kube::ObjectPtr> children(const kube::ResourceKind& kind, const kube::ObjectKey& deployment) const final;
  std::vector<kube::ObjectPtr> nodes() const final { return all(kube::kNode); }

 private:
  struct Reading {
    std::uint64_t version = 0;
    std::vector<kube::ObjectPtr> objects;
  };

  local::MemoryCluster& cluster_;
  mutable std::map<std::string, Reading, std::less<>> readings_;  // by plural
};

// A cache that is a round behind: what the cluster was when the round before began.
class LaggingReader final : public SharingReader {
 public:
  using SharingReader::SharingReader;

  void round();  // a new one begins
  std::vector<kube::ObjectPtr> all(const kube::ResourceKind& kind) const override;

 private:
  using Snapshot = std::map<std::string, std::vector<kube::ObjectPtr>, std::less<>>;  // by plural

  Snapshot seen_;  // at the beginning of the round before
  Snapshot next_;  // and of this one
};

// What agents say of their load.
struct PlayedLoad {
  std::int64_t queue = 0;      // of each
  std::uint64_t arrivals = 0;  // in a round, shared by those that requests reach
};

enum class Cache { kFresh, kLagging };

class CrashWorld {
 public:
  explicit CrashWorld(Cache cache = Cache::kFresh);

  // One reconcile, and two seconds of everybody else's life.
  void round();
  void rounds(int count) {
    for (int i = 0; i < count; ++i) round();
  }

  // What there is, without what differs between two lives that went the same way: uids, addresses, times.
  Json picture();
  // An object that nobody owns, or that should not be there; empty when all is well.
  std::string orphan();
  int groups();   // that are not being deleted
  int serving();  // groups that requests reach

  World world;
  FaultPoint point;
  PlayedExperts experts;
  ZoneHealths zones;
  std::set<std::string> silent_zones;  // kubelets and agents there do nothing
  std::optional<PlayedLoad> load;      // empty: agents do not tell it
  std::string sound_revision;          // not empty: agents of any other fail

 private:
  struct Operator;

  void start_operator();
  bool is_silent(const kube::Object& pod) const;
  bool is_told_to_drain(const std::string& uid) const;
  void report_load(const kube::Object& pod, int sharers, common::AgentStatus& status);
  void run_pods();
  void run_agents();
  const ClusterReader& reader() const;
  std::vector<kube::ObjectPtr> pods() const;  // of groups

  const Cache cache_;
  const SharingReader fresh_{world.cluster};
  LaggingReader lagging_{world.cluster};
  std::shared_ptr<Operator> operator_;            // shared, for the type is complete in the source only
  std::map<std::string, int> told_;               // rounds since an agent was told to drain, by uid
  std::map<std::string, std::uint64_t> arrived_;  // requests of an agent, by uid
  std::map<std::string, std::string> reported_;   // what a kubelet said last, by uid
  int last_ip_ = 0;
};

}  // namespace millrace::controller::testing
