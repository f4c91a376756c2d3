// Where the canary of a rollout stands: whether there is one, how many groups take part, whether it has passed or
// failed and why. Pure; what the two revisions were measured at comes in as numbers.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/plan/canary_analysis.h"
#include "operator/plan/golden.h"
#include "operator/plan/history.h"
#include "operator/plan/rollout_target.h"

namespace millrace::controller {

// How often a canary that runs is measured and judged.
inline constexpr std::chrono::seconds kCanaryLook{5};

struct CanaryInput {
  std::optional<CanarySpec> spec;  // none: no canary is wanted
  std::int32_t replicas = 1;
  Budgets budgets;
  std::string update;
  std::string stable;
  bool paused = false;
  CanaryVerdict recorded = CanaryVerdict::kNone;  // of this rollout
  std::string recorded_reason;
  std::vector<GroupView> groups;
  CanarySamples samples;                    // what was not measured is 0 and speaks for nothing
  std::optional<TimePoint> measured_since;  // when the first of them was taken
  std::optional<GoldenAnswers> golden;      // empty until all golden prompts were asked
};

enum class CanaryPhase {
  kNone,      // no canary is asked for, or nothing to compare with
  kStarting,  // its groups do not all serve yet
  kRunning,
  kPassed,
  kFailed,  // the deployment goes back to the stable revision
};
std::string_view to_string(CanaryPhase phase);

struct CanaryPlan {
  CanaryPhase phase = CanaryPhase::kNone;
  std::int32_t groups = 0;   // that take part, while starting or running
  bool decided_now = false;  // the verdict has to be recorded
  std::string message;       // in words: what is waited for, or why it failed
  std::chrono::milliseconds look_again{0};
  bool measures = false;  // the time for samples has come
};

CanaryPlan plan_canary(const CanaryInput& input, TimePoint now);

}  // namespace millrace::controller
