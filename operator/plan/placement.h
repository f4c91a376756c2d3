// Which zone a new group goes to. A group never spans zones; groups spread evenly; equal inputs give equal answers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "operator/api/model_deployment.h"

namespace millrace::controller {

struct NodeView {
  std::string name;
  std::string zone;         // label topology.kubernetes.io/zone; may be empty
  bool schedulable = true;  // Ready and not cordoned
  StringMap allocatable;    // resource -> quantity
  bool heard_of = true;     // false: condition Ready is Unknown, its kubelet is silent
};

// What one pod of a group takes from a node.
StringMap pod_needs(const Spec& spec);

struct ZoneSupply {
  std::string name;                // empty: nodes without zones
  std::int64_t pods_that_fit = 0;  // of this shape, on empty schedulable nodes
  bool open = true;                // false: it has failed or has not been well for long; the last choice
};

struct Supply {
  std::vector<ZoneSupply> zones;  // by name; those the spec allows
  // Set when no zone could hold a group even if it were empty: the first reason. Groups are placed all the same, since
  // nodes may be added for them; pods then wait for a node.
  std::string shortage;
};

// `nodes` empty (a cluster that makes nodes on demand): the zones of the spec, without capacity known.
Supply supply_of(const Spec& spec, const std::vector<NodeView>& nodes);

// Zone for the next group: an open one before others; one that can hold a group before one that cannot; then fewest
// groups of the wanted revision, then fewest of all, then by name. Empty string when the supply has no zones.
struct ZoneUse {
  std::int32_t current = 0;  // groups of the wanted revision that stay
  std::int32_t all = 0;      // groups that stay or have not left yet
};
std::string pick_zone(const Supply& supply, std::int32_t pods_per_group, const std::map<std::string, ZoneUse>& use);

}  // namespace millrace::controller
