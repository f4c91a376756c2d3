#include "operator/plan/rollout.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

namespace millrace::controller {
namespace {

using Life = GroupFacts::Life;
using Groups = std::vector<const GroupFacts*>;

class RolloutPlanner {
 public:
  explicit RolloutPlanner(const RolloutInput& input)
      : input_(input), shares_(input.target.shares), members_(input.target.shares.size()) {
    for (const Share& share : shares_) wanted_ += share.groups;
    for (const GroupFacts& group : input.groups) {
      if (group.life != Life::kLive) continue;
      ++live_;
      available_ += is_available(group) ? 1 : 0;
      ++in_zone_[group.zone];
      const std::optional<std::size_t> share = share_of(group);
      (share ? members_[*share] : excess_).push_back(&group);
    }
  }

  RolloutPlan plan() {
    choose_surplus();
    retire_excess();
    create();
    return std::move(plan_);
  }

 private:
  static bool must_flee(const GroupFacts& group) { return group.move && group.move->urgency == Urgency::kAtOnce; }
  static bool is_available(const GroupFacts& group) { return group.routable && !must_flee(group); }

  // A group in a zone that the spec no longer names is replaced like one of an old revision.
  bool placed_well(const GroupFacts& group) const {
    const auto& zones = input_.supply.zones;
    const auto is_its_zone = [&](const ZoneSupply& zone) { return zone.name == group.zone; };
    return zones.empty() || std::any_of(zones.begin(), zones.end(), is_its_zone);
  }

  std::optional<std::size_t> share_of(const GroupFacts& group) const {
    if (group.move) return std::nullopt;
    const bool lost_for_good = group.incomplete && input_.target.share(group.revision) == nullptr;
    if (input_.target.frozen) return lost_for_good ? std::nullopt : std::optional<std::size_t>(0);
    for (std::size_t i = 0; i < shares_.size(); ++i) {
      if (shares_[i].revision == group.revision && placed_well(group)) return i;
    }
    return std::nullopt;
  }

  // Groups that cost nothing to lose first; then those that must move; then from the fullest zone; then the youngest.
  bool goes_before(const GroupFacts* a, const GroupFacts* b) const {
    const auto rank = [&](const GroupFacts* group) {
      return std::tuple(is_available(*group), group->was_routable, !group->move, -in_zone_.at(group->zone),
                        -group->index);
    };
    const auto first = rank(a);
    const auto second = rank(b);
    return first != second ? first < second : a->name < b->name;
  }

  const GroupFacts* take_first(Groups& groups) const {
    const auto first = std::min_element(groups.begin(), groups.end(),
                                        [&](const GroupFacts* a, const GroupFacts* b) { return goes_before(a, b); });
    const GroupFacts* group = *first;
    groups.erase(first);
    return group;
  }

  void choose_surplus() {
    for (std::size_t i = 0; i < shares_.size(); ++i) {
      while (static_cast<std::int32_t>(members_[i].size()) > shares_[i].groups) {
        const GroupFacts* group = take_first(members_[i]);
        surplus_.insert(group);
        excess_.push_back(group);
        --in_zone_[group->zone];  // so that the next one is taken from another zone
      }
    }
    for (const GroupFacts* group : surplus_) ++in_zone_[group->zone];
  }

  void retire_excess() {
    while (!excess_.empty()) {
      const GroupFacts* group = take_first(excess_);
      if (!may_go(*group)) continue;
      plan_.retire.push_back({group->name, reason_of(*group)});
      --live_;
      --in_zone_[group->zone];
      available_ -= is_available(*group) ? 1 : 0;
    }
  }

  std::string reason_of(const GroupFacts& group) const {
    if (group.move) return group.move->message;
    const bool fewer = surplus_.contains(&group) && live_ > wanted_;
    return fewer ? "fewer replicas are asked for" : "another revision replaces it";
  }

  bool may_go(const GroupFacts& group) const {
    if (must_flee(group)) return true;
    const std::int32_t left = available_ - (group.routable ? 1 : 0);
    if (group.routable && group.move && group.move->urgency == Urgency::kWhenSpare) return left >= input_.replicas;
    const std::int32_t least = std::max(input_.replicas - input_.budgets.unavailable, 0);
    if (!group.routable) {
      const bool hopeless = !group.was_routable || group.lost_long || group.incomplete;
      return hopeless || left >= least || (surplus_.contains(&group) && live_ > wanted_);
    }
    if (left < least) return false;
    const bool replaced = live_ <= wanted_;
    return !replaced || left >= input_.replicas - 1 || successors_serve();
  }

  // Of every revision that still lacks groups, one serves already.
  bool successors_serve() const {
    for (std::size_t i = 0; i < shares_.size(); ++i) {
      const bool lacks = static_cast<std::int32_t>(members_[i].size()) < shares_[i].groups;
      const auto serves = [](const GroupFacts* group) { return group->routable; };
      if (lacks && std::none_of(members_[i].begin(), members_[i].end(), serves)) return false;
    }
    return true;
  }

  void create() {
    std::map<std::string, std::set<std::int32_t>> taken;  // revision -> indexes
    std::map<std::string, ZoneUse> use;
    for (const GroupFacts& group : input_.groups) {
      taken[group.revision].insert(group.index);
      if (group.overdue) continue;
      ++total_;
      ++use[group.zone].all;
    }
    for (std::size_t i = 0; i < shares_.size(); ++i) {
      for (auto& [zone, used] : use) used.current = 0;
      for (const GroupFacts* group : members_[i]) ++use[group->zone].current;
      create_share(shares_[i], static_cast<std::int32_t>(members_[i].size()), taken[shares_[i].revision], use);
    }
  }

  void create_share(const Share& share, std::int32_t have, const std::set<std::int32_t>& taken,
                    std::map<std::string, ZoneUse>& use) {
    const std::int32_t most = input_.replicas + input_.budgets.surge;
    for (std::int32_t index = 0; have < share.groups && total_ < most; ++index) {
      if (taken.contains(index)) continue;
      const std::string zone = pick_zone(input_.supply, share.pods_per_group, use);
      ++use[zone].current;
      ++use[zone].all;
      ++have;
      if (waits_for(input_.supply, zone)) {
        ++plan_.waiting[zone];
        continue;
      }
      plan_.create.push_back({share.revision, index, zone});
      ++total_;
    }
  }

  const RolloutInput& input_;
  const std::vector<Share>& shares_;
  std::vector<Groups> members_;          // live, by share
  Groups excess_;                        // live, to be retired when that is safe
  std::set<const GroupFacts*> surplus_;  // those of them whose revision is wanted, but not so many
  std::map<std::string, int> in_zone_;   // live
  std::int32_t wanted_ = 0;
  std::int32_t live_ = 0;
  std::int32_t available_ = 0;
  std::int32_t total_ = 0;
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
  return RolloutPlanner(input).plan();
}

}  // namespace millrace::controller
