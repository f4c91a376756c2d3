// Which zone a new group goes to. A group never spans zones; groups spread evenly; equal inputs give equal answers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "operator/api/model_deployment.h"

namespace millrace::controller {

// What has been announced about a node's end.
struct NodeNotice {
  enum class Kind {
    kNone,
    kCordoned,   // takes no new pods; may be about to be drained
    kAnnounced,  // will be drained, with respect for disruption budgets, and taken away
    kImminent,   // is lost within seconds or minutes, whatever runs there
  };
  Kind kind = Kind::kNone;
  std::string message{};                            // "node n1 is cordoned"
  std::string taint{}, taint_effect{"NoSchedule"};  // what pods may tolerate; empty: nothing tolerates it
};

struct NodeView {
  std::string name;
  std::string zone;         // label topology.kubernetes.io/zone; may be empty
  bool schedulable = true;  // Ready and without notice
  StringMap allocatable;    // resource -> quantity
  bool heard_of = true;     // false: condition Ready is Unknown, its kubelet is silent
  NodeNotice notice{};
};

// What one pod of a group takes from a node.
StringMap pod_needs(const Spec& spec);

struct ZoneSupply {
  std::string name;                // empty: nodes without zones
  std::int64_t pods_that_fit = 0;  // of this shape, on empty schedulable nodes
  bool open = true;                // false: it has failed or has not been well for long; the last choice
  bool spare = false;              // kept empty while all others are open
};

struct Supply {
  std::vector<ZoneSupply> zones;  // by name; those the spec allows
  Reserve reserve = Reserve::kSurgeOnFailure;
  // Set when no zone could hold a group even if it were empty: the first reason. Groups are placed all the same, since
  // nodes may be added for them; pods then wait for a node.
  std::string shortage;
};

// `nodes` empty (a cluster that makes nodes on demand): the zones of the spec, without capacity known.
// Nothing new goes to the nodes named in `avoid`.
Supply supply_of(const Spec& spec, const std::vector<NodeView>& nodes, const std::vector<std::string>& avoid = {});

// The spare zone is needed: another one is not open.
bool needs_spare(const Supply& supply);

// Zone for the next group: an open one before others; one that can hold a group before one that cannot; the spare zone
// after the others unless it is needed; then fewest groups of the wanted revision, then fewest of all, then by name.
// Empty string when the supply has no zones. Without a reserve a zone that is not open is chosen as if it were: the
// group belongs there, and is not made until the zone is open again.
struct ZoneUse {
  std::int32_t current = 0;  // groups of the wanted revision that stay
  std::int32_t all = 0;      // groups that stay or have not left yet
};
// A group that belongs to the zone has to wait for it.
bool waits_for(const Supply& supply, const std::string& zone);
std::string pick_zone(const Supply& supply, std::int32_t pods_per_group, const std::map<std::string, ZoneUse>& use);

}  // namespace millrace::controller
