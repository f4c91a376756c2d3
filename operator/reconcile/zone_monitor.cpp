#include "operator/reconcile/zone_monitor.h"

#include "common/log.h"

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;

constexpr const char* kLeaseNamespace = "kube-node-lease";
constexpr milliseconds kReadEvery{1'000};
constexpr milliseconds kReachable{5'000};  // since the last answer of the API server

bool is_worse(const ZoneHealth& after, ZoneState before) {
  return after.state != before && (after.state == ZoneState::kSuspect || after.state == ZoneState::kFailed);
}

}  // namespace

ZoneMonitor::ZoneMonitor(kube::Client& client, Sources sources, ZoneThresholds thresholds)
    : client_(client), sources_(std::move(sources)), thresholds_(thresholds) {}

std::set<std::string> ZoneMonitor::look(std::stop_token stop) {
  const TimePoint now = sources_.now();
  const std::vector<AgentContact> agents = sources_.agents();
  const std::vector<NodeView> nodes = sources_.nodes();
  const ZoneHealths before = health();
  const auto answers = kubelets(before);
  if (is_in_doubt(gather_evidence({agents, nodes, leases_, answers}), before)) {
    if (!read_at_ || now - *read_at_ >= kReadEvery) read_leases(now, std::move(stop));
  } else {
    leases_.forget();
  }
  const bool reachable = reached_at_ && now - *reached_at_ <= kReachable;
  const ZoneHealths after =
      next_health(before, gather_evidence({agents, nodes, leases_, answers}), reachable, now, thresholds_);
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

std::map<std::string, KubeletAnswers> ZoneMonitor::kubelets(const ZoneHealths& health) const {
  std::set<std::string> zones;
  for (const auto& [zone, state] : health) {
    if (!state.takes_traffic()) zones.insert(zone);
  }
  return zones.empty() ? std::map<std::string, KubeletAnswers>{} : sources_.kubelets(zones);
}

void ZoneMonitor::read_leases(TimePoint now, std::stop_token stop) {
  read_at_ = now;
  kube::ListOptions options;
  options.ns = kLeaseNamespace;
  options.stop = std::move(stop);
  try {
    std::map<std::string, std::string> times;
    for (const kube::Object& lease : client_.list(kube::kLease, options).items) {
      times[lease.name()] = lease.string_at("/spec/renewTime");
    }
    leases_.read(times, now);
    reached_at_ = now;
  } catch (const common::Error& error) {
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
