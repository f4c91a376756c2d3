#include "operator/plan/canary.h"

#include <algorithm>
#include <optional>

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What a group measures right after it began to serve says more about cold caches than about its revision.
seconds warm_up(seconds duration) {
  return std::min(seconds(30), duration / 4);
}

class CanaryPlanner {
 public:
  CanaryPlanner(const CanaryInput& input, TimePoint now) : input_(input), now_(now) {
    for (const GroupView& group : input.groups) {
      const bool stays = !group.retiring() && !group.terminating();
      if (stays && group.revision == input.update) update_.push_back(&group);
    }
  }

  CanaryPlan plan() {
    if (!input_.spec || input_.stable.empty() || input_.stable == input_.update || input_.replicas == 0) return {};
    if (input_.recorded == CanaryVerdict::kPassed) return settled(CanaryPhase::kPassed, "");
    if (input_.recorded == CanaryVerdict::kFailed) return settled(CanaryPhase::kFailed, input_.recorded_reason);
    plan_.groups = std::min(input_.spec->groups.of(input_.replicas, Rounding::kUp), most());
    // One replica and no surge: the new revision can only take the place of what it would be compared with.
    if (plan_.groups == 0) return settled(CanaryPhase::kNone, "there is no room for a group to compare with");
    if (input_.paused) return settled(CanaryPhase::kStarting, "the rollout is paused");
    if (const GroupView* failing = find_failing())
      return fail("group " + failing->name + " fails: " + trouble(*failing));
    const std::optional<TimePoint> since = serves_since();
    return since ? judge(*since) : start();
  }

 private:
  // At least one stable group stays.
  std::int32_t most() const { return input_.replicas - 1 + std::min(input_.budgets.surge, 1); }

  // Nothing is waited for.
  CanaryPlan settled(CanaryPhase phase, std::string message) {
    plan_.phase = phase;
    plan_.message = std::move(message);
    return plan_;
  }

  CanaryPlan fail(std::string reason) {
    plan_.phase = CanaryPhase::kFailed;
    plan_.decided_now = true;
    plan_.message = std::move(reason);
    plan_.groups = 0;
    plan_.look_again = {};
    return plan_;
  }

  const GroupView* find_failing() const {
    for (const GroupView* group : update_) {
      if (group_state(*group) == GroupState::kFailing) return group;
    }
    return nullptr;
  }

  static std::string trouble(const GroupView& group) {
    for (const PodView& pod : group.pods) {
      if (!pod.trouble_reason.empty()) return pod.trouble_reason + " " + pod.trouble_message;
      if (pod.evidence && pod.evidence->status.phase == common::AgentPhase::kFailed)
        return pod.evidence->status.message;
    }
    return "its engine failed";
  }

  // Since when all canary groups serve; empty while they do not.
  std::optional<TimePoint> serves_since() const {
    std::int32_t serving = 0;
    TimePoint last{};
    for (const GroupView* group : update_) {
      if (!group->routable()) continue;
      ++serving;
      last = std::max(last, group->leader()->gate_since);
    }
    return serving >= plan_.groups ? std::optional(last) : std::nullopt;
  }

  CanaryPlan start() {
    plan_.phase = CanaryPhase::kStarting;
    plan_.message = "the canary groups do not serve yet";
    std::optional<TimePoint> first;
    for (const GroupView* group : update_) {
      for (const PodView& pod : group->pods) first = std::min(first.value_or(pod.created), pod.created);
    }
    if (!first) return plan_;
    const TimePoint until = *first + seconds(input_.spec->ready_seconds);
    if (now_ >= until) {
      return fail("its canary groups did not serve within " + std::to_string(input_.spec->ready_seconds) +
                  " s (spec.rollout.canary.readySeconds)");
    }
    plan_.look_again = std::chrono::ceil<milliseconds>(until - now_);
    return plan_;
  }

  CanaryPlan judge(TimePoint since) {
    const CanarySpec& spec = *input_.spec;
    const seconds duration(spec.duration_seconds);
    const TimePoint from = since + warm_up(duration);
    plan_.phase = CanaryPhase::kRunning;
    plan_.measures = now_ >= from;
    plan_.message = "the canary is compared with the stable revision";
    plan_.look_again = plan_.measures ? milliseconds(kCanaryLook) : std::chrono::ceil<milliseconds>(from - now_);
    if (input_.golden) {
      if (const std::string found = golden_regression(spec.golden_prompts, *input_.golden); !found.empty())
        return fail(found);
    }
    const bool over = input_.measured_since && now_ >= std::max(*input_.measured_since, from) + duration;
    const std::uint64_t missing = missing_samples(input_.samples, spec.min_samples);
    if (over && missing > 0) {
      plan_.message = "the canary waits for " + std::to_string(missing) +
                      " more requests to compare: lower spec.rollout.canary.minSamples to go on without them";
      return plan_;  // looked at only as often as planned, so that the bound on false alarms holds
    }
    const std::int64_t looks = duration / kCanaryLook + 1;
    if (const std::string found = regression(input_.samples, spec.tolerances, looks); !found.empty())
      return fail(found);
    if (over && !spec.golden_prompts.empty() && !input_.golden) {
      plan_.message = "the canary waits for the answers to its golden prompts";
      return plan_;
    }
    if (over) {
      plan_.decided_now = true;
      plan_.groups = 0;
      plan_.measures = false;
      plan_.look_again = {};
      return settled(CanaryPhase::kPassed, "");
    }
    return plan_;
  }

  const CanaryInput& input_;
  const TimePoint now_;
  std::vector<const GroupView*> update_;
  CanaryPlan plan_;
};

}  // namespace

std::string_view to_string(CanaryPhase phase) {
  switch (phase) {
    case CanaryPhase::kNone:
      return "None";
    case CanaryPhase::kStarting:
      return "Starting";
    case CanaryPhase::kRunning:
      return "Running";
    case CanaryPhase::kPassed:
      return "Passed";
    case CanaryPhase::kFailed:
      return "Failed";
  }
  return "None";
}

CanaryPlan plan_canary(const CanaryInput& input, TimePoint now) {
  return CanaryPlanner(input, now).plan();
}

}  // namespace millrace::controller
