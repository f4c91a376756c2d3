// Everything that one look at a deployment leads to, except its unchanging children and its status: which pods to make,
// delete, mark or route. Pure. The actions are independent of each other; any of them may fail or be repeated.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/model_deployment.h"
#include "operator/plan/group.h"
#include "operator/plan/moves.h"
#include "operator/plan/placement.h"
#include "operator/plan/rollout_target.h"
#include "operator/plan/zone_health.h"

namespace millrace::controller {

struct Observed {
  std::vector<GroupView> groups;
  std::vector<NodeView> nodes;
  ZoneHealths zones;  // those not named are healthy
  Remembered memory{};

  const PodView* find_pod(const std::string& name) const;  // null: there is none
};

struct CreatePod {
  std::string group;
  std::int32_t group_index = 0;
  std::int32_t pod_index = 0;
  std::string zone;
  std::string revision = {};
  std::vector<std::string> avoid_nodes{};
};

struct DeletePod {
  std::string name;
  std::string uid;
  std::string reason;
};

struct RetirePod {  // mark it, and close its gate
  std::string name;
  std::string group;
  std::string reason;
};

struct SetGate {
  std::string name;
  bool open = false;
  std::string reason;  // "Serving", "NotServing"; becomes the reason of the pod's condition
  // A closed gate takes a pod out of traffic because its kubelet then says that it is not Ready. One that may be cut
  // off cannot, so that is said for it.
  bool for_kubelet = false;

  bool operator==(const SetGate&) const = default;
};

struct Plan {
  std::vector<RetirePod> retire;
  std::vector<SetGate> gates;
  std::vector<DeletePod> erase;
  std::vector<CreatePod> create;
  std::vector<std::string> draining;            // groups whose agents must be told to drain
  std::vector<Move> moves;                      // groups that should be somewhere else
  std::vector<std::string> full_zones;          // to be remembered
  std::map<std::string, std::int32_t> waiting;  // by zone: groups that are not made until it is well again
  Supply supply;
  std::chrono::milliseconds look_again{0};  // 0: no time is waited for

  void wait_at_most(std::chrono::milliseconds time) {  // 0: no limit
    if (time.count() > 0 && (look_again.count() == 0 || time < look_again)) look_again = time;
  }
  // Pods change, which the cluster will tell.
  bool acts() const { return moves_groups() || !gates.empty(); }
  // Something happens to whole groups: worth a look at the cluster itself before it is done.
  bool moves_groups() const { return !retire.empty() || !create.empty() || !erase.empty(); }
};

// Name of a group: "<deployment>-<revision>-<index>".
std::string group_name(const std::string& deployment, const std::string& revision, std::int32_t index);

// `spec` gives the number of replicas and everything else that does not belong to a revision.
Plan plan(const std::string& deployment, const Spec& spec, const RolloutTarget& target, const Observed& observed,
          TimePoint now);
// All groups of one revision, which is revision_of(spec).
Plan plan(const std::string& deployment, const Spec& spec, const std::string& revision, const Observed& observed,
          TimePoint now);

}  // namespace millrace::controller
