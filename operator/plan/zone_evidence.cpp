#include "operator/plan/zone_evidence.h"

#include <algorithm>

namespace millrace::controller {
namespace {

// Well before silence counts, so that there is something to compare with when it does.
constexpr std::chrono::milliseconds kEarlyDoubt{1'000};

// How long at least half of the agents have been silent.
std::chrono::milliseconds silence_of_half(std::vector<std::chrono::milliseconds> silences) {
  const std::size_t half = (silences.size() + 1) / 2;
  std::nth_element(silences.begin(), silences.begin() + static_cast<std::ptrdiff_t>(half - 1), silences.end(),
                   std::greater<>());
  return silences[half - 1];
}

}  // namespace

void LeaseMemory::read(const std::map<std::string, std::string>& renew_times) {
  ++reads_;
  for (const auto& [node, time] : renew_times) {
    const auto [known, added] = first_.emplace(node, time);
    if (!added && known->second != time) renewed_.insert(node);
  }
}

void LeaseMemory::forget() {
  *this = {};
}

ZoneEvidences gather_evidence(const std::vector<AgentContact>& agents, const std::vector<NodeView>& nodes,
                              const LeaseMemory& leases) {
  ZoneEvidences zones;
  std::map<std::string, std::vector<std::chrono::milliseconds>> silences;
  for (const NodeView& node : nodes) {
    ZoneEvidence& zone = zones[node.zone];
    ++zone.nodes;
    if (!node.heard_of) ++zone.unreachable_nodes;
    if (leases.renewed(node.name)) ++zone.renewed_nodes;
    zone.leases_read = leases.compared();
  }
  for (const AgentContact& agent : agents) {
    ZoneEvidence& zone = zones[agent.zone];
    ++zone.agents;
    if (agent.failing) ++zone.silent;
    silences[agent.zone].push_back(agent.failing ? agent.silence : std::chrono::milliseconds(0));
  }
  for (auto& [name, list] : silences) zones[name].silent_for = silence_of_half(std::move(list));
  return zones;
}

bool is_in_doubt(const ZoneEvidences& evidence, const ZoneHealths& health) {
  const auto doubted = [](const auto& zone) {
    return zone.second.silent_for >= kEarlyDoubt || 2 * zone.second.unreachable_nodes > zone.second.nodes;
  };
  const auto unwell = [](const auto& zone) { return zone.second.state != ZoneState::kHealthy; };
  return std::any_of(evidence.begin(), evidence.end(), doubted) || std::any_of(health.begin(), health.end(), unwell);
}

}  // namespace millrace::controller
