// How many groups of which revision a deployment should have at this moment of a rollout, and how far a rollout may
// deviate from `replicas` on the way. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "operator/api/rollout_spec.h"

namespace millrace::controller {

// Limits in groups, for a certain number of replicas. Never both 0.
struct Budgets {
  std::int32_t surge = 1;
  std::int32_t unavailable = 0;
};

// Percentages of surge round up, those of unavailable down; when both come to 0 one group may be unavailable, as in a
// Deployment.
Budgets budgets_of(const RolloutSpec& rollout, std::int32_t replicas);

struct Share {
  std::string revision;
  std::int32_t groups = 0;
  std::int32_t pods_per_group = 1;
};

struct RolloutTarget {
  std::vector<Share> shares;  // the most trusted revision first: it is made first
  // Paused: groups stay of whatever revision they are. Lost ones are made anew, of the first share's revision.
  bool frozen = false;

  const Share* share(const std::string& revision) const;  // null: no group of it is wanted
};

// What leads to a target. A revision is "stable" when it was the last that a rollout finished with.
struct TargetInput {
  std::int32_t replicas = 1;
  Budgets budgets;
  Share update;                // asked for; the number of groups is not read, here and below
  Share stable;                // no revision: none is known, or it can no longer be made
  std::int32_t partition = 0;  // groups that stay stable
  std::int32_t canary = 0;     // groups of a canary that is going on; 0: none is
  bool rolled_back = false;    // the update failed its canary: everything goes back to stable
  bool paused = false;         // or held back until the model of the update is verified
};

// While a canary runs, its groups are added within the surge, and only what the surge cannot hold takes the place of
// stable groups: a roll-back then finds the stable ones still serving.
RolloutTarget target_of(const TargetInput& input);

}  // namespace millrace::controller
