// Whether the model of a new revision has been looked at before groups that serve make room for it. Pure.
//
// Where a rollout may take out a group before another of the new revision serves (maxUnavailable above 0: no spare
// devices), a small pod without devices first reads the new checkpoint, with the new image, on a node that a group
// holds. Until it has succeeded every group stays of the revision it is.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "operator/plan/group.h"
#include "operator/plan/placement.h"
#include "operator/plan/rollout_target.h"

namespace millrace::controller {

// A pod that verifies a revision.
struct VerifierView {
  std::string revision;
  PodView pod;
};

struct VerificationInput {
  std::string update;  // the revision asked for
  Budgets budgets;
  bool goes_on = true;    // the rollout is neither paused nor rolled back
  bool recorded = false;  // this rollout's model was verified
  std::vector<GroupView> groups;
  std::vector<NodeView> nodes;  // empty: nothing is known of them
  std::vector<VerifierView> verifiers;
};

enum class VerificationPhase {
  kNotNeeded,
  kRunning,
  kFailing,  // the model cannot be loaded; tried again until it can
  kPassed,
};

struct VerificationPlan {
  VerificationPhase phase = VerificationPhase::kNotNeeded;
  bool decided_now = false;    // that it passed has to be recorded
  std::string node;            // make a verifier there; empty: make none
  std::vector<PodView> erase;  // verifiers that have done their work, or cannot do it
  std::string message;         // in words, while groups are held back

  bool holds() const { return phase == VerificationPhase::kRunning || phase == VerificationPhase::kFailing; }
};

VerificationPlan plan_verification(const VerificationInput& input);

}  // namespace millrace::controller
