// Short ways to write down groups for the tests of the plans.
#pragma once

#include <string>

#include "operator/api/labels.h"
#include "operator/plan/group.h"
#include "operator/plan/rollout.h"

namespace millrace::controller::testing {

inline const TimePoint kNow = *kube::parse_timestamp("2026-01-02T12:00:00Z");

inline GroupFacts facts(const std::string& revision, int index, bool routable, const std::string& zone = "") {
  GroupFacts group;
  group.revision = revision;
  group.index = index;
  group.zone = zone;
  group.name = "m-" + revision + "-" + std::to_string(index);
  group.routable = routable;
  group.was_routable = routable;
  return group;
}

// A large node of the zone.
inline NodeView node_in(const std::string& zone) {
  NodeView node;
  node.name = "n-" + zone;
  node.zone = zone;
  node.allocatable = {{"cpu", "64"}};
  return node;
}

inline AgentEvidence evidence(common::AgentPhase phase, std::int64_t in_flight = 0) {
  AgentEvidence result;
  result.answered = true;
  result.status.phase = phase;
  result.status.in_flight = in_flight;
  result.status.generation = 1;
  return result;
}

// A group of one pod in the given state of its agent.
class GroupBuilder {
 public:
  explicit GroupBuilder(const std::string& revision = "r1", int index = 0, int pods = 1) {
    group_.revision = revision;
    group_.index = index;
    group_.name = "m-" + revision + "-" + std::to_string(index);
    group_.expected_pods = pods;
    for (int i = 0; i < pods; ++i) {
      PodView pod;
      pod.index = i;
      pod.name = group_.name + "-" + std::to_string(i);
      pod.uid = "uid-" + pod.name;
      pod.node = "n1";
      pod.ip = "10.0.0." + std::to_string(i + 1);
      pod.phase = "Running";
      pod.created = kNow - std::chrono::minutes(10);
      group_.pods.push_back(pod);
    }
  }

  GroupBuilder& zone(const std::string& name) {
    return set([&](GroupView& group) { group.zone = name; });
  }
  GroupBuilder& loading() { return agents(common::AgentPhase::kLoading); }
  GroupBuilder& serving() {
    for (PodView& pod : group_.pods) pod.containers_ready = true;
    return agents(common::AgentPhase::kServing);
  }
  GroupBuilder& routed() {
    for (PodView& pod : group_.pods) {
      pod.gate = true;
      pod.ready = true;
      pod.gate_since = kNow - std::chrono::minutes(5);
    }
    return serving();
  }
  // Served once, and is out of traffic.
  GroupBuilder& unrouted() {
    routed();
    for (PodView& pod : group_.pods) pod.gate = false;
    return *this;
  }
  GroupBuilder& agents(common::AgentPhase phase, std::int64_t in_flight = 0) {
    for (PodView& pod : group_.pods) pod.evidence = evidence(phase, in_flight);
    return *this;
  }
  GroupBuilder& retiring(std::chrono::seconds ago) {
    for (PodView& pod : group_.pods) pod.retiring_since = kNow - ago;
    return *this;
  }
  template <typename Change>
  GroupBuilder& set(Change&& change) {
    change(group_);
    return *this;
  }
  GroupView build() const { return group_; }

 private:
  GroupView group_;
};

// What moves are planned from.
struct GivenMoves {
  Spec spec;
  RolloutTarget target;
  std::vector<GroupView> groups;
  std::vector<NodeView> nodes;
  Supply supply;
  ZoneHealths zones;
  Remembered memory;

  MovesInput view() const { return {spec, target, groups, nodes, supply, zones, memory}; }
};

}  // namespace millrace::controller::testing
