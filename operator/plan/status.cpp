#include "operator/plan/status.h"

#include <algorithm>
#include <map>
#include <set>

#include "operator/api/labels.h"

namespace millrace::controller {
namespace {

constexpr std::size_t kMaxGroups = 64;  // in status.groups

std::string count_of(std::int64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

struct Counts {
  std::int32_t all = 0;
  std::int32_t ready = 0;
  std::int32_t routable = 0;
  std::int32_t updated = 0;  // of the wanted revision, staying
};

bool pods_ready(const GroupView& group) {
  return group.complete() &&
         std::all_of(group.pods.begin(), group.pods.end(), [](const PodView& pod) { return pod.containers_ready; });
}

Counts count(const StatusInput& input) {
  Counts counts;
  for (const GroupView& group : input.observed.groups) {
    ++counts.all;
    if (pods_ready(group)) ++counts.ready;
    if (group.routable()) ++counts.routable;
    if (group.revision != input.revision || group.retiring() || group.terminating()) continue;
    ++counts.updated;
  }
  return counts;
}

struct Cause {
  std::string reason;
  std::string message;
};

// What keeps this group from serving, in words for a person. Only for groups that do not serve.
Cause cause_of(const GroupView& group, GroupState state) {
  const std::string who = "group " + group.name;
  for (const PodView& pod : group.pods) {
    if (state == GroupState::kUnscheduled && !pod.unschedulable.empty()) {
      return {"Unschedulable", "pod " + pod.name + " has no node: " + pod.unschedulable};
    }
    if (state == GroupState::kFailing && !pod.trouble_reason.empty()) {
      return {pod.trouble_reason, "pod " + pod.name + ": " + pod.trouble_message};
    }
    if (state == GroupState::kFailing && pod.evidence && pod.evidence->status.phase == common::AgentPhase::kFailed) {
      return {"EngineFailed", "pod " + pod.name + ": " + pod.evidence->status.message};
    }
    if (state == GroupState::kLoading && pod.evidence && pod.evidence->status.phase == common::AgentPhase::kLoading) {
      const int percent = static_cast<int>(pod.evidence->status.load_progress * 100);
      return {"Loading", who + " loads the model: " + std::to_string(percent) + " % in pod " + pod.name};
    }
  }
  switch (state) {
    case GroupState::kIncomplete:
      return {"PodsMissing", who + " has pods that are missing, ended or being deleted"};
    case GroupState::kReady:
      return {"Routing", who + " can serve and is about to be routed"};
    case GroupState::kDraining:
      return {"Draining", who + " finishes its requests before it leaves"};
    case GroupState::kTerminating:
      return {"Terminating", who + " is being deleted"};
    default:
      return {"Starting", who + " starts its containers"};
  }
}

// The causes from the worst to the most hopeful.
constexpr GroupState kBlockingOrder[] = {GroupState::kUnscheduled, GroupState::kFailing,    GroupState::kIncomplete,
                                         GroupState::kStarting,    GroupState::kLoading,    GroupState::kReady,
                                         GroupState::kDraining,    GroupState::kTerminating};

ZoneStatusInput zones_of(const StatusInput& input) {
  return {input.observed.groups, input.observed.zones, input.supply};
}

class Conditions {
 public:
  explicit Conditions(const StatusInput& input) : input_(input), counts_(count(input)) {}

  std::vector<Condition> all() {
    if (!input_.problems.empty()) return refused();
    const bool done = is_done();
    Cause cause = done ? Cause{"AsAsked", as_asked()} : first_cause();
    if (!done && !input_.moves.empty()) cause.message += "; " + moving(input_.moves.front());
    const bool stalled = !done && stalled_on(cause);
    add("Accepted", true, "Valid", "the spec can be carried out");
    add_scheduled();
    add_available();
    add("Progressing", !done, done ? "Complete" : progress_reason(), cause.message);
    add_degraded(cause);
    add("Ready", done, cause.reason, cause.message);
    add("Reconciling", !done && !stalled, done ? "Complete" : cause.reason, cause.message);
    add("Stalled", stalled, stalled ? cause.reason : "NotStalled", stalled ? cause.message : "");
    add_rollback();
    const Redundancy zones = redundancy_of(zones_of(input_));
    add("ZoneRedundant", zones.redundant, zones.reason, zones.message);
    if (input_.autoscaling) {
      const AutoscaleCondition autoscaling = autoscale_condition(*input_.autoscaling);
      add("AutoscalingActive", autoscaling.active, autoscaling.reason, autoscaling.message);
    }
    if (input_.experts) {
      ExpertsCondition experts = experts_condition(*input_.experts);
      result_.push_back({"ExpertsBalanced", experts.status, experts.reason, experts.message});
    }
    return std::move(result_);
  }

 private:
  void add(const char* type, bool status, std::string reason, std::string message) {
    result_.push_back({type, status ? "True" : "False", std::move(reason), std::move(message)});
  }

  std::vector<Condition> refused() {
    std::string message = input_.problems.front();
    if (input_.problems.size() > 1) message += " (and " + std::to_string(input_.problems.size() - 1) + " more)";
    add("Accepted", false, "InvalidSpec", message);
    result_.push_back({"Scheduled", "Unknown", "InvalidSpec", "nothing is scheduled for a spec that was refused"});
    add_available();
    add("Progressing", false, "InvalidSpec", "existing groups are left as they are");
    result_.push_back({"Degraded", "Unknown", "InvalidSpec", message});
    add("Ready", false, "InvalidSpec", message);
    add("Reconciling", false, "InvalidSpec", message);
    add("Stalled", true, "InvalidSpec", message);
    return std::move(result_);
  }

  bool is_done() const {
    const bool settled = is_settled(input_.rollout, input_.revision, input_.spec.replicas, input_.observed.groups);
    return settled && input_.error.empty() && !rollout_cause(input_.rollout, input_.revision);
  }

  void add_rollback() {
    const CanaryPlan& canary = input_.rollout.canary;
    const bool active = canary.phase == CanaryPhase::kFailed;
    add("RollbackActive", active, active ? "CanaryFailed" : "NotRolledBack", active ? canary.message : "");
  }

  std::string as_asked() const {
    if (const auto other = settled_otherwise(input_.rollout, input_.revision)) return other->message;
    if (input_.spec.replicas == 0) return "scaled to 0: no group is asked for";
    return counts_.routable == 1 ? "1 group serves" : count_of(counts_.routable, "group") + " serve";
  }

  Cause first_cause() const {
    if (!input_.error.empty()) return {"ReconcileFailed", input_.error};
    if (!input_.missing.empty()) return {"SecretMissing", input_.missing};
    if (const auto cause = rollout_cause(input_.rollout, input_.revision)) return {cause->reason, cause->message};
    for (const GroupState state : kBlockingOrder) {
      for (const GroupView& group : input_.observed.groups) {
        if (group_state(group) == state && counts_in(group)) return cause_of(group, state);
      }
    }
    if (!input_.waiting.empty()) return waiting_for_zone();
    if (counts_.updated < input_.spec.replicas) {
      return {"Creating", count_of(input_.spec.replicas - counts_.updated, "group") + " of revision " +
                              input_.revision + " remain to be made"};
    }
    return {"Replacing", count_of(counts_.all - counts_.updated, "group") + " of an earlier revision remain"};
  }

  static std::string moving(const Move& move) { return "group " + move.group + " moves: " + move.message; }

  Cause waiting_for_zone() const {
    const auto& [zone, groups] = *input_.waiting.begin();
    return {"WaitingForZone", count_of(groups, "group") + " of zone " + zone +
                                  " wait until it is well again, as spec.failover.reserve None asks"};
  }

  // Groups of old revisions are on their way out: they explain only what nothing else explains.
  bool counts_in(const GroupView& group) const {
    const bool leaving = group.retiring() || group.terminating();
    return group.revision == input_.revision || leaving;
  }

  bool stalled_on(const Cause& cause) const {
    static const std::set<std::string> kHopeless{
        "CrashLoopBackOff",           "ImagePullBackOff",  "ErrImagePull",  "InvalidImageName", "EngineFailed",
        "CreateContainerConfigError", "ErrImageNeverPull", "SecretMissing", "RolledBack",       "RevisionNotVerified"};
    return kHopeless.contains(cause.reason);
  }

  std::string progress_reason() const {
    const bool old = std::any_of(input_.observed.groups.begin(), input_.observed.groups.end(),
                                 [&](const GroupView& group) { return group.revision != input_.revision; });
    if (old) return "RollingOut";
    return input_.moves.empty() ? "Scaling" : "Moving";
  }

  void add_scheduled() {
    for (const GroupView& group : input_.observed.groups) {
      for (const PodView& pod : group.pods) {
        if (pod.unschedulable.empty() || !pod.node.empty()) continue;
        const std::string hint = input_.supply.shortage.empty() ? "" : "; " + input_.supply.shortage;
        return add("Scheduled", false, "Unschedulable",
                   "pod " + pod.name + " has no node: " + pod.unschedulable + hint);
      }
    }
    if (!input_.supply.shortage.empty()) return add("Scheduled", false, "NoNodeFits", input_.supply.shortage);
    add("Scheduled", true, "AllPodsScheduled", "every pod has a node or is about to get one");
  }

  void add_available() {
    if (counts_.routable > 0) {
      return add("Available", true, "GroupsServe", count_of(counts_.routable, "group") + " can answer");
    }
    const bool zero = input_.problems.empty() && input_.spec.replicas == 0;
    add("Available", false, zero ? "ScaledToZero" : "NoGroupServes", "no group can answer a request");
  }

  void add_degraded(const Cause& cause) {
    const bool failing = std::any_of(input_.observed.groups.begin(), input_.observed.groups.end(),
                                     [](const GroupView& group) { return group_state(group) == GroupState::kFailing; });
    if (failing) return add("Degraded", true, "GroupFailing", cause.message);
    if (counts_.routable < input_.spec.replicas) {
      return add("Degraded", true, "TooFewGroups",
                 std::to_string(counts_.routable) + " of " + count_of(input_.spec.replicas, "group") + " serve");
    }
    add("Degraded", false, "EnoughGroups", "");
  }

  const StatusInput& input_;
  const Counts counts_;
  std::vector<Condition> result_;
};

std::string transition_time(const Condition& condition, const Json& previous, TimePoint now) {
  if (previous.is_object() && previous.contains("conditions") && previous["conditions"].is_array()) {
    for (const Json& old : previous["conditions"]) {
      if (old.is_object() && old.value("type", Json()) == condition.type &&
          old.value("status", Json()) == condition.status && old.value("lastTransitionTime", Json()).is_string()) {
        return old["lastTransitionTime"].get<std::string>();
      }
    }
  }
  return kube::format_time(now);
}

Json conditions_json(const StatusInput& input, const Json& previous, TimePoint now) {
  Json list = Json::array();
  for (const Condition& condition : conditions_of(input)) {
    list.push_back({{"type", condition.type},
                    {"status", condition.status},
                    {"observedGeneration", input.generation},
                    {"lastTransitionTime", transition_time(condition, previous, now)},
                    {"reason", condition.reason},
                    {"message", condition.message}});
  }
  return list;
}

Json groups_json(const Observed& observed) {
  Json list = Json::array();
  for (const GroupView& group : observed.groups) {
    if (list.size() == kMaxGroups) break;
    Json json = {{"name", group.name},
                 {"revision", group.revision},
                 {"state", to_string(group_state(group))},
                 {"pods", group.pods.size()}};
    if (!group.zone.empty()) json["zone"] = group.zone;
    list.push_back(std::move(json));
  }
  return list;
}

Json zones_json(const Observed& observed) {
  std::set<std::string> zones;
  for (const GroupView& group : observed.groups) {
    if (!group.zone.empty()) zones.insert(group.zone);
  }
  Json list = Json::array();
  for (const std::string& zone : zones) {
    if (list.size() < kMaxGroups) list.push_back(zone);
  }
  return list;
}

// The revision that a rollout last finished with. While there is none: the one most groups that serve are of.
std::string current_revision(const StatusInput& input, const Counts& counts, const Json& previous) {
  if (!input.rollout.stable.empty()) return input.rollout.stable;
  if (counts.all == counts.updated || !previous.is_object()) return input.revision;
  std::map<std::string, int> groups;
  for (const GroupView& group : input.observed.groups) {
    if (group.revision != input.revision) ++groups[group.revision];
  }
  const auto most =
      std::max_element(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == groups.end() ? input.revision : most->first;
}

}  // namespace

std::vector<Condition> conditions_of(const StatusInput& input) {
  return Conditions(input).all();
}

Json status_of(const StatusInput& input, const Json& previous, TimePoint now) {
  const Counts counts = count(input);
  Json status = {{"observedGeneration", input.generation},
                 {"replicas", counts.all},
                 {"readyReplicas", counts.ready},
                 {"routableReplicas", counts.routable},
                 {"availableReplicas", counts.routable},
                 {"updatedReplicas", counts.updated},
                 {"selector", std::string(kDeploymentLabel) + "=" + input.deployment},
                 {"zones", zones_json(input.observed)},
                 {"groups", groups_json(input.observed)},
                 {"conditions", conditions_json(input, previous, now)}};
  if (input.problems.empty()) {
    status["endpoint"] = input.endpoint;
    status["updateRevision"] = input.revision;
    status["currentRevision"] = current_revision(input, counts, previous);
    status["rollout"] = rollout_json(input.rollout);
    const Json before = previous.is_object() ? previous.value("zoneStates", Json()) : Json();
    status["zoneStates"] = zone_states(zones_of(input), before, now);
    if (input.autoscaling) {
      const Json before = previous.is_object() ? previous.value("autoscaling", Json()) : Json();
      const Json autoscaling = autoscale_status(*input.autoscaling, before);
      if (!autoscaling.is_null()) status["autoscaling"] = autoscaling;
    }
  }
  if (input.experts) {
    status["experts"] = experts_json(*input.experts, kube::Object(Json{{"status", previous}}).at("/status/experts"));
  }
  return status;
}

}  // namespace millrace::controller
