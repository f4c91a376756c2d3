#include "operator/plan/rollout.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace millrace::controller {
namespace {

using Life = GroupFacts::Life;

class Planner {
 public:
  explicit Planner(const RolloutInput& input) : input_(input) {
    for (const GroupFacts& group : input.groups) {
      if (group.life != Life::kLive) continue;
      (is_current(group) ? current_ : old_).push_back(&group);
    }
  }

  RolloutPlan plan() {
    retire_old();
    retire_surplus();
    create();
    return std::move(plan_);
  }

 private:
  // A group in a zone that the spec no longer names is replaced like one of an old revision.
  bool is_current(const GroupFacts& group) const {
    const auto& zones = input_.supply.zones;
    const bool placed_well = zones.empty() || std::any_of(zones.begin(), zones.end(), [&](const ZoneSupply& zone) {
                               return zone.name == group.zone;
                             });
    return group.revision == input_.revision && placed_well;
  }

  std::int32_t available() const {
    const auto routable = [](const GroupFacts* group) { return group->routable; };
    return static_cast<std::int32_t>(std::count_if(old_.begin(), old_.end(), routable) +
                                     std::count_if(current_.begin(), current_.end(), routable));
  }

  // Groups that cost nothing to lose first; then from the fullest zone; then the youngest.
  void order(std::vector<const GroupFacts*>& groups) const {
    std::map<std::string, int> live;
    for (const GroupFacts* group : old_) ++live[group->zone];
    for (const GroupFacts* group : current_) ++live[group->zone];
    std::sort(groups.begin(), groups.end(), [&](const GroupFacts* a, const GroupFacts* b) {
      const auto rank = [&](const GroupFacts* g) {
        return std::tuple(g->routable, g->was_routable, -live[g->zone], -g->index, g->name);
      };
      return rank(a) < rank(b);
    });
  }

  void retire(std::vector<const GroupFacts*>& from, const GroupFacts* group, const char* reason) {
    plan_.retire.push_back({group->name, reason});
    from.erase(std::find(from.begin(), from.end(), group));
  }

  void retire_old() {
    std::vector<const GroupFacts*> candidates = old_;
    order(candidates);
    for (const GroupFacts* group : candidates) {
      const bool enough_without = available() - (group->routable ? 1 : 0) >= input_.replicas;
      const bool hopeless = !group->routable && (!group->was_routable || group->lost_long || group->incomplete);
      if (enough_without || hopeless) retire(old_, group, "a newer revision replaces it");
    }
  }

  void retire_surplus() {
    while (static_cast<std::int32_t>(current_.size()) > input_.replicas) {
      std::vector<const GroupFacts*> candidates = current_;
      order(candidates);
      const GroupFacts* group = candidates.front();
      if (group->routable && available() - 1 < input_.replicas) return;
      retire(current_, group, "fewer replicas are asked for");
    }
  }

  void create() {
    std::int32_t total = 0;
    for (const GroupFacts& group : input_.groups) total += group.overdue ? 0 : 1;
    std::set<std::int32_t> taken;
    std::map<std::string, ZoneUse> use;
    for (const GroupFacts& group : input_.groups) {
      if (group.revision == input_.revision) taken.insert(group.index);
      if (!group.overdue) ++use[group.zone].all;
    }
    for (const GroupFacts* group : current_) ++use[group->zone].current;
    auto wanted = input_.replicas - static_cast<std::int32_t>(current_.size());
    for (std::int32_t index = 0; wanted > 0 && total < input_.replicas + 1; ++index) {
      if (taken.contains(index)) continue;
      const std::string zone = pick_zone(input_.supply, input_.pods_per_group, use);
      plan_.create.push_back({index, zone});
      ++use[zone].current;
      ++use[zone].all;
      ++total;
      --wanted;
    }
  }

  const RolloutInput& input_;
  std::vector<const GroupFacts*> old_;      // live, to be replaced
  std::vector<const GroupFacts*> current_;  // live, as wanted
  RolloutPlan plan_;
};

}  // namespace

GroupFacts facts_of(const GroupView& group, TimePoint now) {
  GroupFacts facts;
  facts.name = group.name;
  facts.revision = group.revision;
  facts.zone = group.zone;
  facts.index = group.index;
  facts.life = group.terminating() ? Life::kTerminating : group.retiring() ? Life::kRetiring : Life::kLive;
  facts.routable = facts.life == Life::kLive && group.routable();
  facts.was_routable = group.was_routable();
  facts.lost_long = facts.was_routable && !facts.routable && now - group.leader()->gate_since > kPatience;
  facts.incomplete = !group.complete();
  facts.overdue = facts.life == Life::kTerminating &&
                  std::all_of(group.pods.begin(), group.pods.end(),
                              [&](const PodView& pod) { return now > *pod.gone_by + kOverdue; });
  return facts;
}

RolloutPlan plan_rollout(const RolloutInput& input) {
  return Planner(input).plan();
}

}  // namespace millrace::controller
