#include "operator/plan/zone_evidence.h"

#include <algorithm>

namespace millrace::controller {
namespace {

// Well before silence counts, so that there is something to compare with when it does.
constexpr std::chrono::milliseconds kEarlyDoubt{1'000};

// From when on in a silence it is certain that what leases show happened in it: agents are last heard up to a second
// before a zone is cut off, and a renewal is read up to a second and a half after it was made.
constexpr std::chrono::milliseconds kCertain{2'500};

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

std::chrono::milliseconds LeaseMemory::compared_for(TimePoint since) const {
  if (!first_) return std::chrono::milliseconds(0);
  return std::chrono::duration_cast<std::chrono::milliseconds>(last_ - std::min(last_, std::max(since, *first_)));
}

bool LeaseMemory::renewed(const std::string& node) const {
  const auto known = nodes_.find(node);
  return known != nodes_.end() && known->second.changed_at && last_ - *known->second.changed_at < kRenewalLimit;
}

bool LeaseMemory::renewed_after(const std::string& node, TimePoint since) const {
  const auto known = nodes_.find(node);
  return known != nodes_.end() && known->second.changed_at && *known->second.changed_at > since;
}

ZoneEvidences gather_evidence(const ZoneSources& sources) {
  ZoneEvidences zones;
  for (const auto& [name, contacts] : sources.agents) {
    ZoneEvidence& zone = zones[name];
    zone.agents = contacts.agents;
    zone.silent = static_cast<std::int32_t>(contacts.silences.size());
    zone.silent_for = silence_of_half(contacts);
  }
  for (const NodeView& node : sources.nodes) {
    ZoneEvidence& zone = zones[node.zone];
    ++zone.nodes;
    if (!node.heard_of) ++zone.unreachable_nodes;
    if (sources.leases.renewed(node.name)) ++zone.renewed_nodes;
    zone.leases_for = sources.leases.compared_for();
    if (zone.silent_for.count() == 0) continue;
    const TimePoint since = sources.now - zone.silent_for + kCertain;
    if (sources.leases.renewed_after(node.name, since)) ++zone.renewed_in_silence;
    zone.leases_in_silence_for = sources.leases.compared_for(since);
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
