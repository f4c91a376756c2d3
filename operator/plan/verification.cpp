#include "operator/plan/verification.h"

#include <algorithm>

namespace millrace::controller {
namespace {

class VerificationPlanner {
 public:
  explicit VerificationPlanner(const VerificationInput& input) : input_(input) {}

  VerificationPlan plan() {
    find_nodes();
    const bool needed = is_needed();
    const PodView* verifier = nullptr;
    for (const VerifierView& view : input_.verifiers) {
      const bool of_use = needed && view.revision == input_.update && can_work(view.pod);
      if (of_use) verifier = &view.pod;
      if (!of_use && !view.pod.terminating()) plan_.erase.push_back(view.pod);
    }
    if (input_.recorded) plan_.phase = VerificationPhase::kPassed;
    if (needed) judge(verifier);
    return std::move(plan_);
  }

 private:
  // Nodes of groups that are to be replaced: what is there can be read by their successors.
  void find_nodes() {
    for (const GroupView& group : input_.groups) {
      const PodView* leader = group.leader();
      const bool is_old = group.revision != input_.update && group.was_routable() && !group.terminating();
      if (is_old && leader != nullptr && !leader->node.empty() && is_heard_of(leader->node))
        nodes_.push_back(leader->node);
    }
  }

  bool is_heard_of(const std::string& name) const {
    return input_.nodes.empty() || std::any_of(input_.nodes.begin(), input_.nodes.end(), [&](const NodeView& node) {
             return node.name == name && node.heard_of;
           });
  }

  // A group of the revision that has served is proof enough.
  bool is_needed() const {
    const bool proven = std::any_of(input_.groups.begin(), input_.groups.end(), [&](const GroupView& group) {
      return group.revision == input_.update && group.was_routable();
    });
    return input_.goes_on && input_.budgets.unavailable > 0 && !input_.recorded && !proven && !nodes_.empty();
  }

  bool can_work(const PodView& pod) const {
    if (pod.phase == "Succeeded") return true;
    return pod.phase != "Failed" && std::find(nodes_.begin(), nodes_.end(), pod.node) != nodes_.end();
  }

  void judge(const PodView* verifier) {
    if (verifier != nullptr && verifier->phase == "Succeeded") {
      plan_.phase = VerificationPhase::kPassed;
      plan_.decided_now = true;
      return;
    }
    plan_.phase = VerificationPhase::kRunning;
    plan_.message = "the model is read before a group makes room for it";
    if (verifier == nullptr) {
      if (!names_are_taken()) plan_.node = nodes_.front();
      return;
    }
    plan_.message += ", by pod " + verifier->name + " on node " + verifier->node;
    if (verifier->trouble_reason.empty()) return;
    plan_.phase = VerificationPhase::kFailing;
    plan_.message = "pod " + verifier->name + " on node " + verifier->node + ": " + verifier->trouble_reason + " " +
                    verifier->trouble_message;
  }

  // A verifier of the revision that is on its way out still has the name.
  bool names_are_taken() const {
    return std::any_of(input_.verifiers.begin(), input_.verifiers.end(),
                       [&](const VerifierView& view) { return view.revision == input_.update; });
  }

  const VerificationInput& input_;
  std::vector<std::string> nodes_;
  VerificationPlan plan_;
};

}  // namespace

VerificationPlan plan_verification(const VerificationInput& input) {
  return VerificationPlanner(input).plan();
}

}  // namespace millrace::controller
