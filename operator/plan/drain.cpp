#include "operator/plan/drain.h"

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;

DrainPlan erase(std::string reason) {
  return {DrainStep::kDelete, std::move(reason), milliseconds{0}};
}

}  // namespace

DrainPlan plan_drain(const GroupView& group, std::chrono::seconds limit, TimePoint now) {
  const PodView* leader = group.leader();
  if (leader == nullptr || leader->terminating() || leader->ended()) return erase("its leader is gone");
  if (!group.was_routable()) return erase("it never served");
  const auto since = std::chrono::duration_cast<milliseconds>(now - *group.retiring_since());
  if (since >= limit) return erase("spec.drain.timeoutSeconds has passed");
  const milliseconds left = limit - since;
  if (!leader->containers_ready && (!leader->evidence || !is_fresh(*leader->evidence))) {
    return erase("its leader does not answer and is not ready");
  }
  if (group.routable()) return {DrainStep::kUnroute, "it is still in traffic", left};
  if (leader->evidence && is_fresh(*leader->evidence)) {
    const common::AgentStatus& status = leader->evidence->status;
    if (status.phase == common::AgentPhase::kFailed) return erase("its engine has failed");
    if (status.phase == common::AgentPhase::kDraining && status.in_flight == 0 && !status.accepting)
      return erase("it is empty");
  }
  return {DrainStep::kDrain, "requests are running", left};
}

}  // namespace millrace::controller
