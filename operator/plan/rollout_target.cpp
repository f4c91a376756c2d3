#include "operator/plan/rollout_target.h"

#include <algorithm>

namespace millrace::controller {

Budgets budgets_of(const RolloutSpec& rollout, std::int32_t replicas) {
  Budgets budgets{rollout.max_surge.of(replicas, Rounding::kUp), rollout.max_unavailable.of(replicas, Rounding::kDown)};
  if (budgets.surge == 0 && budgets.unavailable == 0) budgets.unavailable = 1;
  return budgets;
}

const Share* RolloutTarget::share(const std::string& revision) const {
  const auto found =
      std::find_if(shares.begin(), shares.end(), [&](const Share& share) { return share.revision == revision; });
  return found == shares.end() ? nullptr : &*found;
}

RolloutTarget target_of(const TargetInput& input) {
  Share update = input.update;
  Share stable = input.stable;
  const auto split = [&](std::int32_t kept, std::int32_t updated) {
    stable.groups = kept;
    update.groups = updated;
    return RolloutTarget{{stable, update}, input.paused};
  };
  if (stable.revision.empty() || stable.revision == update.revision) {
    update.groups = input.replicas;
    return {{update}, input.paused};
  }
  if (input.paused || input.rolled_back) return split(input.replicas, 0);
  if (input.canary > 0) {
    const std::int32_t canary = std::min(input.canary, std::max(input.replicas, 0));
    const std::int32_t beside = std::min(canary, input.budgets.surge);
    return split(input.replicas - (canary - beside), canary);
  }
  const std::int32_t kept = std::min(input.partition, input.replicas);
  return split(kept, input.replicas - kept);
}

}  // namespace millrace::controller
