#include "operator/plan/moves.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "operator/plan/failback.h"

namespace millrace::controller {
namespace {

bool stays(const GroupView& group) {
  return !group.retiring() && !group.terminating();
}

// Whether pods of this template may be put on a node with the taint, so that moving them away would never end.
bool tolerates(const Json& tolerations, const NodeNotice& notice) {
  if (notice.taint.empty() || !tolerations.is_array()) return false;
  return std::any_of(tolerations.begin(), tolerations.end(), [&](const Json& toleration) {
    if (!toleration.is_object()) return false;
    const auto field = [&](const char* name) { return kube::string_in(toleration, name); };
    const bool this_key = field("key") == notice.taint || (field("key").empty() && field("operator") == "Exists");
    return this_key && (field("effect").empty() || field("effect") == notice.taint_effect);
  });
}

constexpr std::size_t kMostAvoided = 8;  // nodes named in a pod's affinity
// Without a group that serves elsewhere, so many nodes may be to blame; more, and it is the revision that fails.
constexpr std::size_t kMostSuspects = 2;

// Whether it is the nodes that are bad, and not what runs on them.
bool blames_nodes(const std::vector<GroupView>& groups, const Remembered& memory) {
  const auto& bad = memory.bad_nodes;
  if (bad.size() <= kMostSuspects) return true;
  return std::any_of(groups.begin(), groups.end(), [&](const GroupView& group) {
    return group.routable() && std::none_of(group.pods.begin(), group.pods.end(),
                                            [&](const PodView& pod) { return bad.contains(pod.node); });
  });
}

class MovesPlanner {
 public:
  explicit MovesPlanner(const MovesInput& input) : input_(input) {
    for (const NodeView& node : input.nodes) {
      const bool leaves = node.notice.kind != NodeNotice::Kind::kNone;
      if (leaves && !tolerates(input.spec.pod_template.tolerations, node.notice)) leaving_[node.name] = &node.notice;
    }
    if (blames_nodes(input.groups, input.memory)) bad_nodes_ = input.memory.bad_nodes;
  }

  MovesPlan plan(TimePoint now) {
    leave_nodes_that_go();
    leave_bad_nodes();
    if (!result_.moves.empty()) return std::move(result_);
    FailbackPlan failback = plan_failback(input_, now);
    if (failback.move) result_.moves.push_back(std::move(*failback.move));
    if (!failback.full_zone.empty()) result_.full_zones.push_back(std::move(failback.full_zone));
    result_.look_again = failback.look_again;
    return std::move(result_);
  }

 private:
  void leave_nodes_that_go() {
    const GroupView* first_cordoned = nullptr;
    for (const GroupView& group : input_.groups) {
      const NodeNotice* notice = notice_of(group);
      if (notice == nullptr) continue;
      if (notice->kind == NodeNotice::Kind::kCordoned) {
        if (first_cordoned == nullptr || goes_before(group, *first_cordoned)) first_cordoned = &group;
      } else {
        const bool flees = notice->kind == NodeNotice::Kind::kImminent && another_serves(group);
        leave(group, flees ? Urgency::kAtOnce : Urgency::kInBudget, "NodeLeaving", notice->message);
      }
    }
    if (first_cordoned == nullptr || !is_worth_beginning()) return;
    leave(*first_cordoned, Urgency::kInBudget, "NodeLeaving", notice_of(*first_cordoned)->message);
  }

  void leave_bad_nodes() {
    for (const GroupView& group : input_.groups) {
      if (!stays(group) || group.routable() || notice_of(group) != nullptr) continue;
      const PodView* pod = pod_on_bad_node(group);
      if (pod == nullptr) continue;
      leave(group, Urgency::kInBudget, "BadNode",
            "containers end again and again on node " + pod->node + " (" + bad_nodes_.at(pod->node) + ")");
    }
  }

  const PodView* pod_on_bad_node(const GroupView& group) const {
    const auto found = std::find_if(group.pods.begin(), group.pods.end(),
                                    [&](const PodView& pod) { return bad_nodes_.contains(pod.node); });
    return found == group.pods.end() ? nullptr : &*found;
  }

  // The worst that is announced about the nodes of a group that stays; null: nothing.
  const NodeNotice* notice_of(const GroupView& group) const {
    const NodeNotice* worst = nullptr;
    if (!stays(group)) return worst;
    for (const PodView& pod : group.pods) {
      const auto found = leaving_.find(pod.node);
      if (found != leaving_.end() && (worst == nullptr || worst->kind < found->second->kind)) worst = found->second;
    }
    return worst;
  }

  void leave(const GroupView& group, Urgency urgency, const char* reason, std::string message) {
    result_.moves.push_back({group.name, urgency, reason, std::move(message)});
  }

  static bool goes_before(const GroupView& a, const GroupView& b) {
    return std::tuple(a.routable(), a.index, a.name) < std::tuple(b.routable(), b.index, b.name);
  }

  // Some group that is not about to be lost.
  bool another_serves(const GroupView& group) const {
    return std::any_of(input_.groups.begin(), input_.groups.end(), [&](const GroupView& other) {
      const NodeNotice* notice = notice_of(other);
      const bool lost = notice != nullptr && notice->kind == NodeNotice::Kind::kImminent;
      return other.name != group.name && stays(other) && other.routable() && !lost;
    });
  }

  // Where no node would take the successor, nothing is stopped for it. With a surge that must come up first it is made
  // all the same: it may be what makes a cluster autoscaler add a node, and says why the drain does not go on.
  bool is_worth_beginning() const {
    if (budgets_of(input_.spec.rollout, input_.spec.replicas).unavailable == 0) return true;
    return std::any_of(input_.supply.zones.begin(), input_.supply.zones.end(),
                       [&](const ZoneSupply& zone) { return zone.pods_that_fit >= input_.spec.pods_per_group(); });
  }

  const MovesInput& input_;
  std::map<std::string, const NodeNotice*> leaving_;
  std::map<std::string, std::string> bad_nodes_;  // what happened there
  MovesPlan result_;
};

}  // namespace

std::vector<std::string> nodes_to_avoid(const std::vector<GroupView>& groups, const std::vector<NodeView>& nodes,
                                        const Remembered& memory) {
  std::vector<std::string> avoid;
  if (blames_nodes(groups, memory)) {
    for (const auto& [node, what] : memory.bad_nodes) avoid.push_back(node);
  }
  for (const NodeView& node : nodes) {
    const bool leaves = node.notice.kind != NodeNotice::Kind::kNone;
    if (leaves && node.notice.taint.empty()) avoid.push_back(node.name);
  }
  if (avoid.size() > kMostAvoided) avoid.resize(kMostAvoided);
  return avoid;
}

MovesPlan plan_moves(const MovesInput& input, TimePoint now) {
  return MovesPlanner(input).plan(now);
}

}  // namespace millrace::controller
