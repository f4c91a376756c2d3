#include "operator/plan/rollout_status.h"

#include <algorithm>
#include <map>

namespace millrace::controller {
namespace {

std::int32_t wanted_of(const RolloutReport& report, const std::string& revision) {
  const Share* share = report.target.share(revision);
  return share == nullptr ? 0 : share->groups;
}

}  // namespace

bool is_settled(const RolloutReport& report, const std::string& asked, std::int32_t replicas,
                const std::vector<GroupView>& groups) {
  std::map<std::string, std::int32_t> serving;
  for (const GroupView& group : groups) {
    if (!group.routable() || group.retiring()) return false;
    ++serving[group.revision];
  }
  if (report.target.frozen) return static_cast<std::int32_t>(groups.size()) == replicas;
  std::map<std::string, std::int32_t> wanted;
  for (const Share& share : report.target.shares) {
    if (share.groups > 0) wanted[share.revision] = share.groups;
  }
  if (report.target.shares.empty() && replicas > 0) wanted[asked] = replicas;
  return serving == wanted;
}

bool is_finished(const RolloutReport& report, const std::string& asked, std::int32_t replicas,
                 const std::vector<GroupView>& groups) {
  return replicas > 0 && !report.target.frozen && wanted_of(report, asked) == replicas && report.canary.groups == 0 &&
         is_settled(report, asked, replicas, groups);
}

std::optional<RolloutCause> rollout_cause(const RolloutReport& report, const std::string& asked) {
  if (report.canary.phase == CanaryPhase::kFailed) {
    return RolloutCause{"RolledBack", "revision " + asked + " was rolled back to " + report.stable + ": " +
                                          report.canary.message +
                                          "; change the spec, or take the change back with kubectl millrace undo"};
  }
  if (report.verification.holds()) {
    const bool failing = report.verification.phase == VerificationPhase::kFailing;
    return RolloutCause{failing ? "RevisionNotVerified" : "VerifyingRevision",
                        (failing ? "the model of revision " + asked + " cannot be loaded, the groups stay as they are: "
                                 : "revision " + asked + ": ") +
                            report.verification.message};
  }
  const bool canary = report.canary.phase == CanaryPhase::kStarting || report.canary.phase == CanaryPhase::kRunning;
  if (canary && !report.target.frozen)
    return RolloutCause{"Canary" + std::string(to_string(report.canary.phase)), report.canary.message};
  return std::nullopt;
}

std::optional<RolloutCause> settled_otherwise(const RolloutReport& report, const std::string& asked) {
  const bool other = !report.stable.empty() && report.stable != asked;
  if (!other) return std::nullopt;
  if (report.target.frozen) {
    return RolloutCause{"Paused", "the rollout of revision " + asked + " is paused: set spec.paused to false to go on"};
  }
  const std::int32_t kept = wanted_of(report, report.stable);
  if (kept == 0) return std::nullopt;
  return RolloutCause{"Partitioned", std::to_string(kept) + " groups stay on revision " + report.stable +
                                         " as spec.rollout.partition asks, " +
                                         std::to_string(wanted_of(report, asked)) + " run revision " + asked};
}

kube::Json rollout_json(const RolloutReport& report) {
  kube::Json json = {{"revisionNumber", report.number},
                     {"paused", report.target.frozen && !report.verification.holds()}};
  if (report.canary.phase != CanaryPhase::kNone) {
    json["canary"] = {{"phase", to_string(report.canary.phase)}, {"groups", report.canary.groups}};
    if (!report.canary.message.empty()) json["canary"]["message"] = report.canary.message;
  }
  return json;
}

}  // namespace millrace::controller
