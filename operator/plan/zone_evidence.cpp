#include "operator/plan/zone_evidence.h"

#include <algorithm>

namespace millrace::controller {
namespace {

// Well before silence counts, so that there is something to compare with when it does.
constexpr std::chrono::milliseconds kEarlyDoubt{1'000};

// How long at least half of the agents have been silent.
std::chrono::milliseconds silence_of_half(const AgentContacts& contacts) {
  const std::size_t half = (static_cast<std::size_t>(contacts.agents) + 1) / 2;
  std::vector<std::chrono::milliseconds> silences = contacts.silences;
  if (half == 0 || silences.size() < half) return std::chrono::milliseconds(0);
  std::nth_element(silences.begin(), silences.begin() + static_cast<std::ptrdiff_t>(half - 1), silences.end(),
                   std::greater<>());
  return silences[half - 1];
}

}  // namespace

void LeaseMemory::read(const std::map<std::string, std::string>& renew_times, TimePoint asked, TimePoint answered) {
  if (!first_) first_ = answered;
  last_ = std::max(asked, *first_);
  for (const auto& [node, time] : renew_times) {
    const auto [known, added] = nodes_.try_emplace(node, Known{time, std::nullopt});
    if (!added && known->second.time != time) known->second = {time, answered};
  }
}

void LeaseMemory::forget() {
  *this = {};
}

std::chrono::milliseconds LeaseMemory::compared_for() const {
  return first_ ? std::chrono::duration_cast<std::chrono::milliseconds>(last_ - *first_) : std::chrono::milliseconds(0);
}

bool LeaseMemory::renewed(const std::string& node) const {
  const auto known = nodes_.find(node);
  return known != nodes_.end() && known->second.changed_at && last_ - *known->second.changed_at < kRenewalLimit;
}

ZoneEvidences gather_evidence(const ZoneSources& sources) {
  ZoneEvidences zones;
  for (const NodeView& node : sources.nodes) {
    ZoneEvidence& zone = zones[node.zone];
    ++zone.nodes;
    if (!node.heard_of) ++zone.unreachable_nodes;
    if (sources.leases.renewed(node.name)) ++zone.renewed_nodes;
    zone.leases_for = sources.leases.compared_for();
  }
  for (const auto& [name, contacts] : sources.agents) {
    ZoneEvidence& zone = zones[name];
    zone.agents = contacts.agents;
    zone.silent = static_cast<std::int32_t>(contacts.silences.size());
    zone.silent_for = silence_of_half(contacts);
  }
  for (const auto& [name, answers] : sources.kubelets) {
    const auto zone = zones.find(name);
    if (zone == zones.end()) continue;
    zone->second.asked_kubelets = answers.asked;
    zone->second.answered_kubelets = answers.answered;
  }
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
