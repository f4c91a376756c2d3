#include "operator/plan/plan.h"

#include <algorithm>

#include "operator/plan/drain.h"
#include "operator/plan/rollout.h"
#include "operator/plan/routing.h"

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Builder {
 public:
  Builder(const std::string& deployment, const Spec& spec, const RolloutTarget& target, const Observed& observed,
          TimePoint now)
      : deployment_(deployment), spec_(spec), target_(target), observed_(observed), now_(now) {}

  Plan build() {
    avoid_nodes_ = nodes_to_avoid(observed_.groups, observed_.nodes, observed_.memory);
    plan_.supply = supply_of(spec_, observed_.nodes, avoid_nodes_);
    for (ZoneSupply& zone : plan_.supply.zones) {
      if (const ZoneHealth* health = health_of(zone.name)) zone.open = health->takes_groups();
    }
    plan_moving();
    const RolloutPlan rollout = plan_rollout(rollout_input());
    plan_.waiting = rollout.waiting;
    for (const Retirement& retirement : rollout.retire) retire(retirement);
    for (const NewGroup& group : rollout.create) create(group);
    for (const GroupView& group : observed_.groups) {
      wait_for_time(group);
      if (group.terminating()) continue;
      if (is_lost(group)) {
        give_up(group);
      } else if (group.retiring()) {
        drain(group);
      } else if (!is_retired_now(group)) {
        route(group);
        repair(group);
      }
    }
    return std::move(plan_);
  }

 private:
  void plan_moving() {
    std::vector<GroupView> remaining;
    for (const GroupView& group : observed_.groups) {
      if (!is_lost(group)) remaining.push_back(group);
    }
    MovesPlan moves =
        plan_moves({spec_, target_, remaining, observed_.nodes, plan_.supply, observed_.zones, observed_.memory}, now_);
    plan_.moves = std::move(moves.moves);
    plan_.full_zones = std::move(moves.full_zones);
    wait_at_most(moves.look_again);
  }

  RolloutInput rollout_input() const {
    RolloutInput input;
    input.replicas = spec_.replicas;
    input.budgets = budgets_of(spec_.rollout, spec_.replicas);
    input.target = target_;
    input.supply = plan_.supply;
    for (const GroupView& group : observed_.groups) {
      GroupFacts facts = facts_of(group, now_);
      if (is_lost(group)) {
        facts.life = GroupFacts::Life::kTerminating;
        facts.routable = false;
        facts.overdue = true;
      }
      for (const Move& move : plan_.moves) {
        if (move.group == group.name) facts.move = move;
      }
      input.groups.push_back(std::move(facts));
    }
    return input;
  }

  const ZoneHealth* health_of(const std::string& zone) const {
    const auto found = observed_.zones.find(zone);
    return found == observed_.zones.end() ? nullptr : &found->second;
  }

  // Its zone has failed: others take its place, and nothing is asked of it or waited for.
  bool is_lost(const GroupView& group) const {
    const ZoneHealth* zone = health_of(group.zone);
    return zone != nullptr && zone->state == ZoneState::kFailed;
  }

  void give_up(const GroupView& group) {
    for (const PodView& pod : group.pods) {
      if (!pod.terminating()) plan_.erase.push_back({pod.name, pod.uid, "zone " + group.zone + " has failed"});
    }
  }

  bool in_doubt(const GroupView& group) const {
    const ZoneHealth* zone = health_of(group.zone);
    return zone != nullptr && !zone->takes_traffic();
  }

  // Why the group should get no traffic although nothing bad is known of it; null: it may. What is in doubt keeps its
  // traffic when there is nowhere else to go.
  const char* reason_to_avoid(const GroupView& group) const {
    const bool zone = in_doubt(group);
    if (!zone && !is_silent(group)) return nullptr;
    const bool elsewhere = std::any_of(observed_.groups.begin(), observed_.groups.end(), [&](const GroupView& other) {
      return other.routable() && !other.retiring() && !in_doubt(other) && !is_silent(other);
    });
    if (!elsewhere) return nullptr;
    return zone ? kZoneInDoubt : kSilent;
  }

  void wait_at_most(milliseconds time) { plan_.wait_at_most(time); }

  // What facts_of() makes of the group can change by time alone.
  void wait_for_time(const GroupView& group) {
    const auto until = [&](TimePoint time) { wait_at_most(std::chrono::ceil<milliseconds>(time - now_)); };
    const bool lost = group.was_routable() && !group.routable() && !group.retiring();
    if (lost) until(group.leader()->gate_since + kPatience + milliseconds(1));
    if (!group.terminating()) return;
    if (is_lost(group)) return;
    for (const PodView& pod : group.pods) until(*pod.gone_by + kOverdue + milliseconds(1));
  }

  bool is_retired_now(const GroupView& group) const {
    return std::any_of(plan_.retire.begin(), plan_.retire.end(),
                       [&](const RetirePod& pod) { return pod.group == group.name; });
  }

  void retire(const Retirement& retirement) {
    const auto group = std::find_if(observed_.groups.begin(), observed_.groups.end(),
                                    [&](const GroupView& view) { return view.name == retirement.group; });
    for (const PodView& pod : group->pods) {
      if (!pod.terminating()) plan_.retire.push_back({pod.name, group->name, retirement.reason});
    }
  }

  void create(const NewGroup& group) {
    const std::string name = group_name(deployment_, group.revision, group.index);
    for (std::int32_t pod = 0; pod < target_.share(group.revision)->pods_per_group; ++pod) {
      plan_.create.push_back({name, group.index, pod, group.zone, group.revision, avoid_nodes_});
    }
  }

  // The mark may have reached only some of the pods before the operator stopped.
  void drain(const GroupView& group) {
    const bool doubted = reason_to_avoid(group) != nullptr;
    for (const PodView& pod : group.pods) {
      if (!pod.terminating() && !pod.retiring_since)
        plan_.retire.push_back({pod.name, group.name, "its group retires"});
      if (pod.retiring_since) close(pod, "Retiring", doubted);
    }
    const DrainPlan step = plan_drain(group, seconds(spec_.drain_timeout_seconds), now_);
    wait_at_most(step.look_again);
    if (step.step == DrainStep::kUnroute) return;
    plan_.draining.push_back(group.name);
    if (step.step == DrainStep::kDrain) return;
    for (const PodView& pod : group.pods) {
      if (!pod.terminating()) plan_.erase.push_back({pod.name, pod.uid, step.reason});
    }
  }

  void route(const GroupView& group) {
    wait_at_most(until_silent(group));
    const char* avoid = reason_to_avoid(group);
    const Gate wanted = avoid != nullptr ? Gate::kClosed : wanted_gate(group);
    if (wanted == Gate::kKeep) return;
    for (const PodView& pod : group.pods) {
      if (!pod.gated || pod.terminating()) continue;
      if (wanted == Gate::kClosed) {
        close(pod, avoid != nullptr ? avoid : "NotServing", avoid != nullptr);
      } else if (!pod.gate.value_or(false)) {
        plan_.gates.push_back({pod.name, true, "Serving"});
      }
    }
  }

  // A gate that was never opened counts as closed; writing it would say that the group once served.
  void close(const PodView& pod, const char* reason, bool doubted) {
    const bool for_kubelet = pod.ready && doubted;
    if (pod.gate.value_or(false) || for_kubelet) plan_.gates.push_back({pod.name, false, reason, for_kubelet});
  }

  void repair(const GroupView& group) {
    if (target_.share(group.revision) == nullptr) return;
    for (std::int32_t index = 0; index < group.expected_pods; ++index) {
      const PodView* pod = group.pod(index);
      if (pod == nullptr) {
        plan_.create.push_back({group.name, group.index, index, group.zone, group.revision, avoid_nodes_});
      } else if (pod->ended() && !pod->terminating()) {
        const auto age = std::chrono::duration_cast<milliseconds>(now_ - pod->created);
        const auto ends = observed_.memory.ends.find(pod->name);
        const milliseconds delay = remake_delay(ends == observed_.memory.ends.end() ? 1 : ends->second);
        if (age >= delay) {
          plan_.erase.push_back({pod->name, pod->uid, "it ended: " + pod->phase});
        } else {
          wait_at_most(delay - age);
        }
      }
    }
  }

  const std::string& deployment_;
  const Spec& spec_;
  const RolloutTarget& target_;
  const Observed& observed_;
  const TimePoint now_;
  std::vector<std::string> avoid_nodes_;
  Plan plan_;
};

}  // namespace

const PodView* Observed::find_pod(const std::string& name) const {
  for (const GroupView& group : groups) {
    const auto pod = std::find_if(group.pods.begin(), group.pods.end(),
                                  [&](const PodView& candidate) { return candidate.name == name; });
    if (pod != group.pods.end()) return &*pod;
  }
  return nullptr;
}

std::string group_name(const std::string& deployment, const std::string& revision, std::int32_t index) {
  return deployment + "-" + revision + "-" + std::to_string(index);
}

Plan plan(const std::string& deployment, const Spec& spec, const std::string& revision, const Observed& observed,
          TimePoint now) {
  return plan(deployment, spec, RolloutTarget{{{revision, spec.replicas, spec.pods_per_group()}}}, observed, now);
}

Plan plan(const std::string& deployment, const Spec& spec, const RolloutTarget& target, const Observed& observed,
          TimePoint now) {
  return Builder(deployment, spec, target, observed, now).build();
}

}  // namespace millrace::controller
