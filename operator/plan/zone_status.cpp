#include "operator/plan/zone_status.h"

#include <algorithm>
#include <map>
#include <set>

namespace millrace::controller {
namespace {

using kube::Json;

constexpr std::size_t kMaxZones = 64;

const Json& entry_named(const Json& list, const std::string& name) {
  static const Json kNone = Json::object();
  if (!list.is_array()) return kNone;
  const auto found = std::find_if(list.begin(), list.end(), [&](const Json& entry) {
    return entry.is_object() && entry.value("name", "") == name;
  });
  return found == list.end() ? kNone : *found;
}

const ZoneHealth* health_of(const ZoneStatusInput& input, const std::string& zone) {
  const auto found = input.health.find(zone);
  return found == input.health.end() ? nullptr : &found->second;
}

bool takes_traffic(const ZoneStatusInput& input, const std::string& zone) {
  const ZoneHealth* health = health_of(input, zone);
  return health == nullptr || health->takes_traffic();
}

std::map<std::string, int> groups_by_zone(const ZoneStatusInput& input) {
  std::map<std::string, int> zones;
  for (const ZoneSupply& zone : input.supply.zones) zones[zone.name] = 0;
  for (const GroupView& group : input.groups) zones[group.zone] += group.retiring() || group.terminating() ? 0 : 1;
  zones.erase("");
  return zones;
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Zones that are not well, in words; empty when all are.
std::string troubles(const ZoneStatusInput& input) {
  std::string text;
  for (const auto& [zone, health] : input.health) {
    if (health.state != ZoneState::kHealthy) text += "; zone " + zone + " is " + std::string(to_string(health.state));
  }
  return text;
}

}  // namespace

Json zone_states(const ZoneStatusInput& input, const Json& previous, TimePoint now) {
  Json list = Json::array();
  for (const auto& [zone, groups] : groups_by_zone(input)) {
    if (list.size() == kMaxZones) break;
    const ZoneHealth* health = health_of(input, zone);
    const std::string state(to_string(health == nullptr ? ZoneState::kHealthy : health->state));
    Json entry = {{"name", zone}, {"state", state}, {"groups", groups}};
    const Json& before = entry_named(previous, zone);
    const bool same = before.value("state", "") == state;
    entry["since"] = same ? before.value("since", "") : kube::format_time(health == nullptr ? now : health->since);
    const std::string reason = same ? before.value("reason", "") : health == nullptr ? "" : health->reason;
    if (!reason.empty()) entry["reason"] = reason;
    list.push_back(std::move(entry));
  }
  return list;
}

std::vector<ZoneChange> zone_changes(const Json& before, const Json& after) {
  std::vector<ZoneChange> changes;
  if (!after.is_array()) return changes;
  for (const Json& entry : after) {
    const std::string state = entry.value("state", "");
    const std::string was = entry_named(before, entry.value("name", "")).value("state", "Healthy");
    if (state != was) changes.push_back({entry.value("name", ""), state, entry.value("reason", "")});
  }
  return changes;
}

Redundancy redundancy_of(const ZoneStatusInput& input) {
  std::set<std::string> serving;
  int groups = 0;
  for (const GroupView& group : input.groups) {
    if (!group.routable() || group.retiring() || !takes_traffic(input, group.zone)) continue;
    ++groups;
    serving.insert(group.zone);
  }
  if (groups == 0) return {false, "NoGroupServes", "no group serves" + troubles(input)};
  if (serving.contains("")) return {false, "NoZones", "nodes carry no label topology.kubernetes.io/zone"};
  if (groups == 1) return {false, "OneGroup", "the only group that serves is in zone " + joined(serving)};
  if (serving.size() == 1) {
    return {false, "OneZone", "all groups that serve are in zone " + joined(serving) + troubles(input)};
  }
  for (const ZoneSupply& zone : input.supply.zones) {
    if (zone.spare && !zone.open)
      return {false, "SpareZoneNotWell", "zone " + zone.name + " is the spare one" + troubles(input)};
  }
  return {true, "SpreadOverZones", "groups serve in zones " + joined(serving) + troubles(input)};
}

}  // namespace millrace::controller
