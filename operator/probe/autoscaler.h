// The built-in autoscaler at work: for every deployment that asks for it, plans once a second from what the agents said
// last, and tells the reconciler when the number of replicas changes.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "operator/kube/object.h"
#include "operator/plan/autoscale_status.h"
#include "operator/plan/group.h"

namespace millrace::controller {

struct AutoscalerOptions {
  std::function<std::optional<AgentEvidence>(const std::string& pod_uid)> evidence;
  std::function<TimePoint()> now = [] { return std::chrono::system_clock::now(); };
  // A decision changed. Called on the thread that looked.
  std::function<void(const kube::ObjectKey&)> on_change = [](const kube::ObjectKey&) {};
};

// Any thread.
class Autoscaler {
 public:
  explicit Autoscaler(AutoscalerOptions options) : options_(std::move(options)) {}

  // What the reconciler last saw. The first decision starts from the replicas in force and from what status remembers.
  void watch(const kube::ObjectKey& deployment, const AutoscaleStatusInput& seen, const std::vector<GroupView>& groups);
  void forget(const kube::ObjectKey& deployment);

  // Agents of the deployment were asked. Plans, unless that was done less than a second ago.
  void look(const kube::ObjectKey& deployment);

  // Empty until a decision changes something that status does not say already.
  std::optional<AutoscaleRecord> record(const kube::ObjectKey& deployment) const;

 private:
  struct Member {
    std::string group;
    std::string leader_uid;
    GroupLife life = GroupLife::kCold;
    TimePoint serving_since;
  };
  struct Entry {
    AutoscalingSpec spec;
    std::vector<Member> members;
    std::int32_t replicas = 1;
    AutoscaleHistory history;
    std::optional<TimePoint> looked_at;
    std::optional<AutoscaleRecord> record;
    bool told = false;  // status holds a decision by this spec; the next one need not be told if it confirms it
  };

  static bool is_news(const Entry& entry, const AutoscaleDecision& decision);
  static Member member_of(const GroupView& group);
  AutoscaleSignals signals_of(const Entry& entry, TimePoint now) const;

  const AutoscalerOptions options_;
  mutable std::mutex mutex_;
  std::map<kube::ObjectKey, Entry> entries_;
};

}  // namespace millrace::controller
