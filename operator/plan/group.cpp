#include "operator/plan/group.h"

#include <algorithm>

#include "operator/plan/routing.h"

namespace millrace::controller {

const PodView* GroupView::pod(std::int32_t wanted) const {
  const auto found = std::find_if(pods.begin(), pods.end(), [&](const PodView& pod) { return pod.index == wanted; });
  return found == pods.end() ? nullptr : &*found;
}

const PodView* GroupView::leader() const {
  return pod(0);
}

bool GroupView::complete() const {
  return static_cast<std::int32_t>(pods.size()) == expected_pods &&
         std::none_of(pods.begin(), pods.end(), [](const PodView& pod) { return pod.terminating() || pod.ended(); });
}

std::optional<TimePoint> GroupView::retiring_since() const {
  std::optional<TimePoint> since;
  for (const PodView& pod : pods) {
    if (pod.retiring_since && (!since || *pod.retiring_since < *since)) since = pod.retiring_since;
  }
  return since;
}

bool GroupView::retiring() const {
  return retiring_since().has_value();
}

bool GroupView::terminating() const {
  return std::all_of(pods.begin(), pods.end(), [](const PodView& pod) { return pod.terminating(); });
}

bool GroupView::routable() const {
  const PodView* first = leader();
  return first != nullptr && first->gate.value_or(false) && first->ready && !first->terminating();
}

bool GroupView::was_routable() const {
  const PodView* first = leader();
  return first != nullptr && first->gate.has_value();
}

std::string_view to_string(GroupState state) {
  switch (state) {
    case GroupState::kIncomplete:
      return "Incomplete";
    case GroupState::kUnscheduled:
      return "Unscheduled";
    case GroupState::kFailing:
      return "Failing";
    case GroupState::kStarting:
      return "Starting";
    case GroupState::kLoading:
      return "Loading";
    case GroupState::kReady:
      return "Ready";
    case GroupState::kRoutable:
      return "Routable";
    case GroupState::kDraining:
      return "Draining";
    case GroupState::kTerminating:
      return "Terminating";
  }
  return "Unknown";
}

GroupState group_state(const GroupView& group) {
  const auto any = [&](auto&& holds) { return std::any_of(group.pods.begin(), group.pods.end(), holds); };
  const auto phase_is = [](common::AgentPhase phase) {
    return [phase](const PodView& pod) {
      return pod.evidence && is_fresh(*pod.evidence) && pod.evidence->status.phase == phase;
    };
  };
  if (group.terminating()) return GroupState::kTerminating;
  if (group.retiring()) return GroupState::kDraining;
  if (!group.complete()) return GroupState::kIncomplete;
  if (any([](const PodView& pod) { return !pod.unschedulable.empty(); })) return GroupState::kUnscheduled;
  if (any([](const PodView& pod) { return !pod.trouble_reason.empty(); })) return GroupState::kFailing;
  if (any(phase_is(common::AgentPhase::kFailed))) return GroupState::kFailing;
  if (group.routable()) return GroupState::kRoutable;
  if (wanted_gate(group) == Gate::kOpen) return GroupState::kReady;
  if (any(phase_is(common::AgentPhase::kLoading))) return GroupState::kLoading;
  return GroupState::kStarting;
}

}  // namespace millrace::controller
