#include "operator/reconcile/zone_monitor.h"

#include <algorithm>

#include "common/log.h"

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;

constexpr const char* kLeaseNamespace = "kube-node-lease";
constexpr milliseconds kReadEvery{1'000};
constexpr milliseconds kReadPatience{2'000};
constexpr milliseconds kReachable{5'000};  // since the last answer of the API server

bool is_worse(const ZoneHealth& after, ZoneState before) {
  return after.state != before && (after.state == ZoneState::kSuspect || after.state == ZoneState::kFailed);
}

}  // namespace

ZoneMonitor::ZoneMonitor(kube::Client& client, Sources sources, ZoneThresholds thresholds)
    : client_(client), sources_(std::move(sources)), thresholds_(thresholds) {}

std::set<std::string> ZoneMonitor::look(std::stop_token stop) {
  const ZoneHealths before = health();
  const auto gather = [&] {
    const TimePoint now = sources_.now();
    return gather_evidence({now, agents(now), sources_.nodes(), leases_, kubelets(before)});
  };
  ZoneEvidences evidence = gather();
  const bool was_in_doubt = in_doubt_;
  in_doubt_ = alone_ || is_in_doubt(evidence, before);
  if (in_doubt_) {
    if (!read_at_ || sources_.now() - *read_at_ >= kReadEvery) read_leases(std::move(stop));
    if (alone_) return {};  // believe what was believed
  } else {
    leases_.forget();
  }
  if (in_doubt_ || was_in_doubt) evidence = gather();  // with what leases say now
  const TimePoint now = sources_.now();
  const bool reachable = reached_at_ && now - *reached_at_ <= kReachable;
  const ZoneHealths after = next_health(before, evidence, reachable, now, thresholds_);
  tell(before, after);
  const auto state_before = [&](const std::string& zone) {
    const auto found = before.find(zone);
    return found == before.end() ? ZoneState::kHealthy : found->second.state;
  };
  std::set<std::string> changed;
  for (const auto& [zone, health] : after) {
    if (health.state != state_before(zone)) changed.insert(zone);
    // What a lease did before a failure says nothing about a return from it.
    if (is_worse(health, state_before(zone)) && health.state == ZoneState::kFailed) leases_.forget();
  }
  const std::lock_guard lock(mutex_);
  health_ = after;
  return changed;
}

ZoneHealths ZoneMonitor::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

// Of a time in which the API server did not answer us either, silence says nothing.
ZoneContacts ZoneMonitor::agents(TimePoint now) const {
  ZoneContacts contacts = sources_.agents();
  if (!alone_until_) return contacts;
  const auto listened = std::chrono::duration_cast<milliseconds>(now - *alone_until_);
  for (auto& [zone, agents] : contacts) {
    for (milliseconds& silence : agents.silences) silence = std::min(silence, listened);
  }
  return contacts;
}

std::map<std::string, KubeletAnswers> ZoneMonitor::kubelets(const ZoneHealths& health) const {
  std::set<std::string> zones;
  for (const auto& [zone, state] : health) {
    if (!state.takes_traffic()) zones.insert(zone);
  }
  return zones.empty() ? std::map<std::string, KubeletAnswers>{} : sources_.kubelets(zones);
}

void ZoneMonitor::read_leases(std::stop_token stop) {
  const TimePoint asked = sources_.now();
  read_at_ = asked;
  kube::ListOptions options;
  options.ns = kLeaseNamespace;
  options.limit = kReadPatience;
  options.stop = std::move(stop);
  try {
    std::map<std::string, std::string> times;
    for (const kube::Object& lease : client_.list(kube::kLease, options).items) {
      times[lease.name()] = lease.string_at("/spec/renewTime");
    }
    const TimePoint answered = sources_.now();
    leases_.read(times, asked, answered);
    reached_at_ = answered;
    alone_ = false;
  } catch (const kube::ApiError& error) {
    alone_ = error.status() == 0;
    if (alone_) alone_until_ = sources_.now();
    common::log_warn("node leases cannot be read", {{"namespace", kLeaseNamespace}, {"error", error.what()}});
  }
}

void ZoneMonitor::tell(const ZoneHealths& before, const ZoneHealths& after) const {
  for (const auto& [zone, health] : after) {
    const auto found = before.find(zone);
    const ZoneState was = found == before.end() ? ZoneState::kHealthy : found->second.state;
    if (health.state == was) continue;
    common::log_warn("zone state", {{"zone", zone}, {"state", to_string(health.state)}, {"reason", health.reason}});
  }
}

}  // namespace millrace::controller
