// What a deployment's past says about places: nodes where its pods end again and again, zones that had no room.
// Bounded, and everything expires; an operator that restarts begins anew. Pure but for the state it carries.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "operator/plan/group.h"

namespace millrace::controller {

// Failures of containers or pods on one node that make it a bad one.
inline constexpr int kStrikes = 4;
// Since the last failure there; then the node is tried again.
inline constexpr std::chrono::minutes kNodeMemory{30};
// A zone that could not take a group is not tried again for this long.
inline constexpr std::chrono::minutes kZoneMemory{60};

// What is remembered at one moment.
struct Remembered {
  std::map<std::string, std::string> bad_nodes;  // by name: what happened there, in words
  std::map<std::string, TimePoint> full_zones;   // by name: until when
  std::map<std::string, int> ends;               // by name of a pod: how often it ended lately
};

class PlacementMemory {
 public:
  // Counts what is new. The same view twice counts once.
  void see(const std::vector<GroupView>& groups, TimePoint now);
  void note_full(const std::string& zone, TimePoint now);
  Remembered recall(TimePoint now) const;

 private:
  struct Tally {
    int count = 0;
    TimePoint last;
    std::string message;
  };
  struct SeenPod {
    std::int32_t restarts = 0;
    bool ended = false;
    TimePoint last;
  };
  void strike(const std::string& node, int times, const std::string& message, TimePoint now);
  void expire(TimePoint now);

  std::map<std::string, SeenPod> pods_;  // by uid
  std::map<std::string, Tally> nodes_;
  std::map<std::string, Tally> ends_;  // by name of a pod
  std::map<std::string, TimePoint> full_zones_;
};

// How long after its creation a pod that ended is made anew: longer each time.
std::chrono::milliseconds remake_delay(int ends);

}  // namespace millrace::controller
