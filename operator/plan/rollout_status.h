// What a status says about a rollout. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "operator/plan/canary.h"
#include "operator/plan/rollout_target.h"
#include "operator/plan/verification.h"

namespace millrace::controller {

struct RolloutReport {
  RolloutTarget target;     // without shares: every group of the asked revision
  std::string stable;       // empty: no rollout has finished yet
  std::int64_t number = 0;  // of the asked revision; 0: not recorded yet
  CanaryPlan canary;
  VerificationPlan verification;
};

// Every share has its groups, all of them serve, and there are no others.
bool is_settled(const RolloutReport& report, const std::string& asked, std::int32_t replicas,
                const std::vector<GroupView>& groups);

// The rollout has ended: nothing but the asked revision is wanted or there. The revision is stable from now on.
bool is_finished(const RolloutReport& report, const std::string& asked, std::int32_t replicas,
                 const std::vector<GroupView>& groups);

struct RolloutCause {
  std::string reason;
  std::string message;
};

// What of the rollout keeps the deployment from being as asked, before anything about single groups; empty: nothing.
std::optional<RolloutCause> rollout_cause(const RolloutReport& report, const std::string& asked);

// In words, for a deployment that is settled on something else than all groups of the asked revision; else empty.
std::optional<RolloutCause> settled_otherwise(const RolloutReport& report, const std::string& asked);

// status.rollout.
kube::Json rollout_json(const RolloutReport& report);

}  // namespace millrace::controller
