// Groups that should be somewhere else, and why: their node is about to go, it fails again and again under them, or a
// zone stands empty beside a crowded one. The rollout replaces them like groups of another revision. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "operator/plan/group.h"
#include "operator/plan/placement.h"
#include "operator/plan/placement_memory.h"
#include "operator/plan/rollout_target.h"
#include "operator/plan/zone_health.h"

namespace millrace::controller {

enum class Urgency {
  kWhenSpare,  // better elsewhere: goes when all replicas serve without it
  kInBudget,   // must go: within the budgets of the rollout
  kAtOnce,     // what runs there is lost in a moment: it is drained now and no longer counts
};

struct Move {
  std::string group;
  Urgency urgency = Urgency::kInBudget;
  std::string reason;   // PascalCase: "NodeLeaving", "BadNode", "ZoneFailback"
  std::string message;  // in words
};

struct MovesInput {  // borrowed
  const Spec& spec;
  const RolloutTarget& target;
  const std::vector<GroupView>& groups;  // those of failed zones are left out
  const std::vector<NodeView>& nodes;
  const Supply& supply;      // without the nodes to avoid
  const ZoneHealths& zones;  // those not named are healthy, and have been so for long
  const Remembered& memory;
};

struct MovesPlan {
  std::vector<Move> moves;              // at most one for each group
  std::vector<std::string> full_zones;  // that could not take a group: to be remembered
  std::chrono::milliseconds look_again{0};
};

// Nodes where no new pod should go, though the scheduler might put one there: those that are being deleted, and those
// where pods fail, unless it is what runs there that fails.
std::vector<std::string> nodes_to_avoid(const std::vector<GroupView>& groups, const std::vector<NodeView>& nodes,
                                        const Remembered& memory);

// Groups on nodes that are merely cordoned move one at a time, and so do groups that go back to a zone.
MovesPlan plan_moves(const MovesInput& input, TimePoint now);

}  // namespace millrace::controller
