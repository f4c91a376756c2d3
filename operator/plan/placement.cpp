#include "operator/plan/placement.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "operator/api/quantity.h"

namespace millrace::controller {
namespace {

// How many pods an empty node takes, and the resource that limits it.
std::int64_t fit(const NodeView& node, const StringMap& needs, std::string& limit) {
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const auto& [resource, quantity] : needs) {
    const double need = parse_quantity(quantity).value_or(0);
    if (need <= 0) continue;
    const auto has = node.allocatable.find(resource);
    const double allocatable = has == node.allocatable.end() ? 0 : parse_quantity(has->second).value_or(0);
    const auto times = static_cast<std::int64_t>(std::floor(allocatable / need + 1e-9));
    if (times < most) {
      most = times;
      limit = "a pod needs " + quantity + " of " + resource + ", and node " + node.name + " has " +
              (has == node.allocatable.end() ? "none" : has->second);
    }
  }
  return std::min<std::int64_t>(most, 110);  // a node's usual bound on pods
}

std::string shortage_of(const Spec& spec, const Supply& supply, std::size_t usable_nodes, const std::string& limit) {
  for (const ZoneSupply& zone : supply.zones) {
    if (zone.pods_that_fit >= spec.pods_per_group()) return "";
  }
  if (usable_nodes == 0) return "";  // nothing is known; the scheduler will say
  std::int64_t most = 0;
  for (const ZoneSupply& zone : supply.zones) most = std::max(most, zone.pods_that_fit);
  if (most == 0) return "no node is large enough: " + limit;
  return "a group has " + std::to_string(spec.pods_per_group()) +
         " pods in one zone, and no zone has room for more than " + std::to_string(most) +
         ": lower spec.parallelism.tensor or add nodes to a zone";
}

}  // namespace

StringMap pod_needs(const Spec& spec) {
  StringMap needs = spec.resources.limits;  // a request left out is as large as the limit
  for (const auto& [name, quantity] : spec.resources.requests) needs[name] = quantity;
  if (!spec.devices.is_cpu()) needs[spec.devices.resource] = std::to_string(spec.devices.per_pod);
  return needs;
}

Supply supply_of(const Spec& spec, const std::vector<NodeView>& nodes, const std::vector<std::string>& avoid) {
  const StringMap needs = pod_needs(spec);
  std::map<std::string, std::int64_t> zones;
  for (const std::string& zone : spec.zones) zones[zone] = 0;
  std::size_t usable = 0;
  std::string limit;
  for (const NodeView& node : nodes) {
    const bool allowed = spec.zones.empty() || zones.contains(node.zone);
    if (!allowed) continue;
    std::int64_t& fits = zones[node.zone];  // groups stay in a zone whose nodes only take nothing new
    if (!node.schedulable || std::find(avoid.begin(), avoid.end(), node.name) != avoid.end()) continue;
    ++usable;
    fits += fit(node, needs, limit);
  }
  Supply supply;
  for (const auto& [name, pods] : zones) supply.zones.push_back({name, pods});
  supply.reserve = spec.failover.reserve;
  if (supply.reserve == Reserve::kSpareZone && supply.zones.size() > 1) {
    const std::string& spare = spec.zones.empty() ? supply.zones.back().name : spec.zones.back();
    for (ZoneSupply& zone : supply.zones) zone.spare = zone.name == spare;
  }
  supply.shortage = shortage_of(spec, supply, usable, limit);
  return supply;
}

bool needs_spare(const Supply& supply) {
  return std::any_of(supply.zones.begin(), supply.zones.end(),
                     [](const ZoneSupply& zone) { return !zone.spare && !zone.open; });
}

bool waits_for(const Supply& supply, const std::string& zone) {
  return supply.reserve == Reserve::kNone &&
         std::any_of(supply.zones.begin(), supply.zones.end(),
                     [&](const ZoneSupply& entry) { return entry.name == zone && !entry.open; });
}

std::string pick_zone(const Supply& supply, std::int32_t pods_per_group, const std::map<std::string, ZoneUse>& use) {
  const bool spare_needed = needs_spare(supply);
  const bool waits = supply.reserve == Reserve::kNone;
  const auto rank = [&](const ZoneSupply& zone) {
    const auto found = use.find(zone.name);
    const ZoneUse used = found == use.end() ? ZoneUse{} : found->second;
    // The nodes of a zone that is waited for may be gone for now.
    const bool too_small = zone.pods_that_fit < pods_per_group && !(waits && !zone.open);
    return std::tuple(!zone.open && !waits, too_small, zone.spare && !spare_needed, used.current, !zone.open, used.all,
                      zone.name);
  };
  const auto best = std::min_element(supply.zones.begin(), supply.zones.end(),
                                     [&](const ZoneSupply& a, const ZoneSupply& b) { return rank(a) < rank(b); });
  return best == supply.zones.end() ? "" : best->name;
}

}  // namespace millrace::controller
