#include "operator/plan/placement_memory.h"

#include <algorithm>

namespace millrace::controller {
namespace {

constexpr std::size_t kMostNodes = 32;
constexpr std::chrono::seconds kFirstDelay{10};
constexpr std::chrono::seconds kLongestDelay{300};
constexpr std::chrono::minutes kEndsMemory{20};
constexpr std::chrono::minutes kPodMemory{5};

}  // namespace

void PlacementMemory::see(const std::vector<GroupView>& groups, TimePoint now) {
  for (const GroupView& group : groups) {
    for (const PodView& pod : group.pods) {
      const auto known = pods_.find(pod.uid);
      const bool new_to_us = known == pods_.end();
      const SeenPod before = new_to_us ? SeenPod{} : known->second;
      const bool troubled = !pod.trouble_reason.empty();
      // Restarts before we looked may be of long ago, unless the pod is in trouble now.
      const std::int32_t restarts = new_to_us && !troubled ? 0 : std::max(pod.restarts - before.restarts, 0);
      if (restarts > 0) {
        const std::string what = troubled ? pod.trouble_reason : std::string("its container ended");
        strike(pod.node, restarts, "pod " + pod.name + ": " + what, now);
      }
      if (pod.ended() && !before.ended) {
        strike(pod.node, 1, "pod " + pod.name + ": it ended (" + pod.phase + ")", now);
        Tally& ends = ends_[pod.name];
        ++ends.count;
        ends.last = now;
      }
      pods_[pod.uid] = {pod.restarts, pod.ended(), now};
    }
  }
  expire(now);
}

void PlacementMemory::strike(const std::string& node, int times, const std::string& message, TimePoint now) {
  if (node.empty()) return;
  Tally& tally = nodes_[node];
  tally.count = std::min(tally.count + times, kStrikes);
  tally.last = now;
  tally.message = message;
}

void PlacementMemory::note_full(const std::string& zone, TimePoint now) {
  full_zones_[zone] = now + kZoneMemory;
}

void PlacementMemory::expire(TimePoint now) {
  // Longer than a view can lag behind another.
  std::erase_if(pods_, [&](const auto& pod) { return now - pod.second.last > kPodMemory; });
  std::erase_if(nodes_, [&](const auto& node) { return now - node.second.last > kNodeMemory; });
  std::erase_if(ends_, [&](const auto& pod) { return now - pod.second.last > kEndsMemory; });
  std::erase_if(full_zones_, [&](const auto& zone) { return now >= zone.second; });
  while (nodes_.size() > kMostNodes) {
    nodes_.erase(std::min_element(nodes_.begin(), nodes_.end(),
                                  [](const auto& a, const auto& b) { return a.second.last < b.second.last; }));
  }
}

Remembered PlacementMemory::recall(TimePoint now) const {
  Remembered result;
  for (const auto& [node, tally] : nodes_) {
    if (tally.count >= kStrikes && now - tally.last <= kNodeMemory) result.bad_nodes[node] = tally.message;
  }
  for (const auto& [zone, until] : full_zones_) {
    if (now < until) result.full_zones[zone] = until;
  }
  for (const auto& [pod, tally] : ends_) result.ends[pod] = tally.count;
  return result;
}

std::chrono::milliseconds remake_delay(int ends) {
  const int doublings = std::clamp(ends - 1, 0, 8);
  return std::min(kFirstDelay * (1 << doublings), kLongestDelay);
}

}  // namespace millrace::controller
