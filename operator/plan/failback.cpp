#include "operator/plan/failback.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;

// A successor without a node for this long will not get one soon.
constexpr std::chrono::seconds kSchedulingPatience{60};

class FailbackPlanner {
 public:
  FailbackPlanner(const MovesInput& input, TimePoint now)
      : input_(input), now_(now), soak_(std::chrono::seconds(input.spec.failover.failback_after_seconds)) {}

  FailbackPlan plan() {
    if (!is_quiet()) return {};
    const std::int32_t beyond = static_cast<std::int32_t>(input_.groups.size()) - input_.spec.replicas;
    if (beyond != 0 && beyond != 1) return {};
    if (beyond == 1) newcomer_ = find_newcomer();
    for (const ZoneSupply& zone : input_.supply.zones) {
      if (zone.open && is_healthy(zone.name)) in_zone_[zone.name] = 0;
    }
    for (const GroupView& group : input_.groups) {
      const auto zone = in_zone_.find(group.zone);
      if (zone != in_zone_.end() && &group != newcomer_) ++zone->second;
    }
    const ZoneSupply* target = newcomer_ == nullptr ? choose_target() : find_zone(newcomer_->zone);
    const std::string source = choose_source();
    if (target == nullptr || source.empty() || !gets_better(source, *target)) return {};
    if (newcomer_ != nullptr ? is_stuck(*newcomer_) : !is_calm(*target)) return std::move(plan_);
    move(source, *target);
    return std::move(plan_);
  }

 private:
  // All groups are of the one wanted revision, and none is on its way.
  bool is_quiet() const {
    const RolloutTarget& target = input_.target;
    if (target.frozen || budgets_of(input_.spec.rollout, input_.spec.replicas).surge == 0) return false;
    return std::all_of(input_.groups.begin(), input_.groups.end(), [&](const GroupView& group) {
      const Share* share = target.share(group.revision);
      return share != nullptr && share->groups == input_.spec.replicas && !group.retiring() && !group.terminating();
    });
  }

  // The group made last, if it is beyond the replicas.
  const GroupView* find_newcomer() const {
    const auto created = [](const GroupView& group) {
      TimePoint first = TimePoint::max();
      for (const PodView& pod : group.pods) first = std::min(first, pod.created);
      return first;
    };
    const auto goes_before = [&](const GroupView& a, const GroupView& b) {
      return std::tuple(!a.routable(), created(a), a.index) < std::tuple(!b.routable(), created(b), b.index);
    };
    return &*std::max_element(input_.groups.begin(), input_.groups.end(), goes_before);
  }

  bool is_healthy(const std::string& zone) const {
    const auto health = input_.zones.find(zone);
    return health == input_.zones.end() || health->second.state == ZoneState::kHealthy;
  }

  const ZoneSupply* find_zone(const std::string& name) const {
    const auto& zones = input_.supply.zones;
    const auto found = std::find_if(zones.begin(), zones.end(), [&](const auto& zone) { return zone.name == name; });
    return found == zones.end() || !in_zone_.contains(name) ? nullptr : &*found;
  }

  // The emptiest zone with room for one more group.
  const ZoneSupply* choose_target() {
    const ZoneSupply* best = nullptr;
    for (const ZoneSupply& zone : input_.supply.zones) {
      const auto groups = in_zone_.find(zone.name);
      if (groups == in_zone_.end() || zone.spare) continue;
      if (zone.pods_that_fit < std::int64_t{groups->second + 1} * input_.spec.pods_per_group()) continue;
      if (const auto full = input_.memory.full_zones.find(zone.name); full != input_.memory.full_zones.end()) {
        wait_until(full->second);
        continue;
      }
      if (best == nullptr || groups->second < in_zone_.at(best->name)) best = &zone;
    }
    return best;
  }

  // The spare zone when it is not needed; else the fullest. Its groups must serve.
  std::string choose_source() const {
    std::string fullest;
    for (const auto& [zone, groups] : in_zone_) {
      if (groups == 0) continue;
      if (is_to_be_emptied(zone)) return zone;
      if (fullest.empty() || groups > in_zone_.at(fullest)) fullest = zone;
    }
    return fullest;
  }

  // The spare zone, while no other needs it.
  bool is_to_be_emptied(const std::string& zone) const {
    if (needs_spare(input_.supply)) return false;
    return std::any_of(input_.supply.zones.begin(), input_.supply.zones.end(),
                       [&](const ZoneSupply& entry) { return entry.name == zone && entry.spare; });
  }

  bool gets_better(const std::string& source, const ZoneSupply& target) const {
    if (target.spare || source == target.name) return false;
    return is_to_be_emptied(source) || in_zone_.at(source) >= in_zone_.at(target.name) + 2;
  }

  // Nothing has changed for a while: neither the state of the zone nor what any group serves.
  bool is_calm(const ZoneSupply& target) {
    TimePoint since{};
    if (const auto health = input_.zones.find(target.name); health != input_.zones.end()) since = health->second.since;
    for (const GroupView& group : input_.groups) {
      if (!group.routable()) return false;
      since = std::max(since, group.leader()->gate_since);
    }
    if (now_ - since >= soak_) return true;
    wait_until(since + soak_);
    return false;
  }

  bool is_stuck(const GroupView& group) {
    if (group_state(group) != GroupState::kUnscheduled) return false;
    const TimePoint until = group.pods.front().created + kSchedulingPatience;
    if (now_ < until) {
      wait_until(until);
      return false;
    }
    plan_.full_zone = group.zone;
    return true;
  }

  void move(const std::string& source, const ZoneSupply& target) {
    const GroupView* youngest = nullptr;
    for (const GroupView& group : input_.groups) {
      if (group.zone != source || &group == newcomer_ || !group.routable()) continue;
      if (youngest == nullptr || group.index > youngest->index) youngest = &group;
    }
    if (youngest == nullptr) return;
    const std::string why = is_to_be_emptied(source) ? "zone " + source + " is the spare one"
                                                     : "zone " + source + " holds " +
                                                           std::to_string(in_zone_.at(source)) + " groups and zone " +
                                                           target.name + " " + std::to_string(in_zone_.at(target.name));
    plan_.move = Move{youngest->name, Urgency::kWhenSpare, "ZoneFailback", why};
  }

  void wait_until(TimePoint time) {
    const auto wait = std::chrono::ceil<milliseconds>(time - now_) + milliseconds(1);
    if (wait.count() > 0 && (plan_.look_again.count() == 0 || wait < plan_.look_again)) plan_.look_again = wait;
  }

  const MovesInput& input_;
  const TimePoint now_;
  const std::chrono::seconds soak_;
  const GroupView* newcomer_ = nullptr;
  std::map<std::string, int> in_zone_;  // groups but for the newcomer, of zones that are open and healthy
  FailbackPlan plan_;
};

}  // namespace

FailbackPlan plan_failback(const MovesInput& input, TimePoint now) {
  return FailbackPlanner(input, now).plan();
}

}  // namespace millrace::controller
