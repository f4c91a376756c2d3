#include "operator/plan/zone_health.h"

#include <algorithm>

namespace millrace::controller {
namespace {

// What the evidence amounts to.
enum class Verdict {
  kWell,     // agents answer or nodes are known to live
  kQuiet,    // nothing speaks against the zone, and nothing for it
  kUnknown,  // something is wrong, but it may be on our side: believe what was believed
  kSuspicious,
  kDead,
};

struct Finding {
  Verdict verdict = Verdict::kWell;
  std::string reason;
};

bool is_bad(Verdict verdict) {
  return verdict == Verdict::kSuspicious || verdict == Verdict::kDead;
}

bool majority(std::int32_t part, std::int32_t whole) {
  return whole > 0 && 2 * part > whole;
}

std::string share(std::int32_t part, std::int32_t whole, const std::string& what) {
  return std::to_string(part) + " of " + std::to_string(whole) + " " + what;
}

// Agents of some other zone answer, so that our own network works.
bool has_witness(const ZoneEvidences& seen, const std::string& zone) {
  for (const auto& [name, other] : seen) {
    if (name != zone && other.agents > 0 && 2 * other.silent < other.agents) return true;
  }
  return false;
}

// Agents of some zone answer while its nodes are not heard of: it is kubelets and the API server that do not meet.
bool nodes_are_misjudged(const ZoneEvidences& seen) {
  return std::any_of(seen.begin(), seen.end(), [](const auto& item) {
    const ZoneEvidence& zone = item.second;
    return majority(zone.unreachable_nodes, zone.nodes) && majority(zone.agents - zone.silent, zone.agents);
  });
}

// How many have not renewed their leases, where most have not and that means something; else 0.
std::int32_t silent_nodes(const ZoneEvidence& zone, const ZoneThresholds& thresholds) {
  const bool kubelets = zone.asked_kubelets > 0 && !majority(zone.answered_kubelets, zone.asked_kubelets);
  if (kubelets && zone.leases_in_silence_for >= thresholds.leases_speak_after &&
      !majority(zone.renewed_in_silence, zone.nodes)) {
    return zone.nodes - zone.renewed_in_silence;
  }
  const bool decide = zone.leases_for >= thresholds.leases_decide_after && !majority(zone.renewed_nodes, zone.nodes);
  return decide ? zone.nodes - zone.renewed_nodes : 0;
}

Finding examine(const ZoneEvidence& zone, bool witness, bool misjudged, bool api_reachable,
                const ZoneThresholds& thresholds) {
  const bool nodes_lost = api_reachable && majority(zone.unreachable_nodes, zone.nodes);
  const bool silent = zone.agents > 0 && zone.silent_for >= thresholds.suspect_after;
  const bool alive = api_reachable && majority(zone.renewed_nodes, zone.nodes);
  const std::string nodes = share(zone.unreachable_nodes, zone.nodes, "nodes are not heard of");
  const std::string agents = share(zone.silent, zone.agents, "agents do not answer");
  if (!silent) {
    if (!nodes_lost)
      return {majority(zone.agents - zone.silent, zone.agents) || alive ? Verdict::kWell : Verdict::kQuiet, ""};
    // Kubelets that are cut off from the API server while the agents serve: that is no reason to move anything.
    if (zone.agents > 0) return {Verdict::kUnknown, nodes + ", but agents answer"};
    if (alive || misjudged) return {Verdict::kUnknown, nodes + ", but nodes that are not heard of live"};
    return {Verdict::kDead, nodes};
  }
  if (nodes_lost) return {Verdict::kDead, agents + ", and " + nodes};
  if (!witness) return {Verdict::kUnknown, agents + ", and none of any other zone does"};
  const std::int32_t dead = api_reachable ? silent_nodes(zone, thresholds) : 0;
  if (zone.silent_for >= thresholds.fail_after && dead > 0) {
    return {Verdict::kDead, agents + ", and " + share(dead, zone.nodes, "nodes have not renewed their leases since")};
  }
  return {Verdict::kSuspicious, agents};
}

class Step {
 public:
  Step(const ZoneHealth& before, TimePoint now) : health_(before), now_(now) {}

  ZoneHealth take(const Finding& finding, const ZoneThresholds& thresholds) {
    // A failed zone's pods are deleted, so that nobody is left to answer: only a sign of life counts as calm.
    const bool quiet_failure = health_.state == ZoneState::kFailed && finding.verdict == Verdict::kQuiet;
    if (is_bad(finding.verdict) || quiet_failure || finding.verdict == Verdict::kUnknown) {
      health_.calm_since.reset();
    } else if (!health_.calm_since) {
      health_.calm_since = now_;
    }
    if (finding.verdict == Verdict::kUnknown) return health_;
    const auto calm = health_.calm_since ? now_ - *health_.calm_since : TimePoint::duration::zero();
    switch (health_.state) {
      case ZoneState::kHealthy:
        if (finding.verdict == Verdict::kDead) return enter(ZoneState::kFailed, finding.reason);
        if (finding.verdict == Verdict::kSuspicious) return enter(ZoneState::kSuspect, finding.reason);
        break;
      case ZoneState::kSuspect:
        if (finding.verdict == Verdict::kDead) return enter(ZoneState::kFailed, finding.reason);
        if (calm >= thresholds.trust_after) return enter(ZoneState::kHealthy, "agents answer again");
        break;
      case ZoneState::kFailed:
        if (calm >= thresholds.trust_after) return enter(ZoneState::kRecovering, "the zone answers again");
        break;
      case ZoneState::kRecovering:
        // Its groups were replaced already: a relapse needs no further proof.
        if (is_bad(finding.verdict)) return enter(ZoneState::kFailed, finding.reason);
        if (calm >= thresholds.recover_after) return enter(ZoneState::kHealthy, "the zone has stayed well");
        break;
    }
    return health_;
  }

 private:
  ZoneHealth enter(ZoneState state, std::string reason) {
    health_.state = state;
    health_.since = now_;
    health_.reason = std::move(reason);
    return health_;
  }

  ZoneHealth health_;
  const TimePoint now_;
};

}  // namespace

std::string_view to_string(ZoneState state) {
  switch (state) {
    case ZoneState::kHealthy:
      return "Healthy";
    case ZoneState::kSuspect:
      return "Suspect";
    case ZoneState::kFailed:
      return "Failed";
    case ZoneState::kRecovering:
      return "Recovering";
  }
  return "Healthy";
}

ZoneHealths next_health(const ZoneHealths& before, const ZoneEvidences& seen, bool api_reachable, TimePoint now,
                        const ZoneThresholds& thresholds) {
  ZoneHealths after;
  const bool misjudged = nodes_are_misjudged(seen);
  for (const auto& [name, evidence] : seen) {
    const auto known = before.find(name);
    const ZoneHealth start = known != before.end() ? known->second : ZoneHealth{ZoneState::kHealthy, now, {}, ""};
    const Finding finding = examine(evidence, has_witness(seen, name), misjudged, api_reachable, thresholds);
    after[name] = Step(start, now).take(finding, thresholds);
  }
  return after;
}

}  // namespace millrace::controller
