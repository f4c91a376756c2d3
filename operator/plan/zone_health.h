// Whether a zone can be trusted with traffic and with new groups. Pure: a step from (what was believed, what is seen,
// now) to what is believed next, taken about once a second.
//
// Agents that stop answering move traffic, which is cheap and reversible; capacity moves only when several kinds of
// evidence agree. Three rules keep the operator from blaming a zone for its own troubles:
// - silence counts only while agents of another zone answer (else our own network may be what is broken);
// - a node that renewed its lease in the silence is alive, whoever cannot reach it. Until every node must have done so,
//   its kubelet is asked another way: gates are closed, which it answers within a second (routing.h);
// - what the API server last said about nodes is void while it cannot be reached.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kube/timestamp.h"
#include "operator/plan/evidence.h"

namespace millrace::controller {

using TimePoint = std::chrono::system_clock::time_point;

enum class ZoneState {
  kHealthy,
  kSuspect,     // no traffic, if other zones have groups; groups stay
  kFailed,      // no traffic, no new groups; its groups are replaced elsewhere
  kRecovering,  // answers again after a failure; takes traffic, gets no new groups until it has stayed well
};
std::string_view to_string(ZoneState state);

struct ZoneEvidence {
  // Agents that answered at some time and whose pods should run.
  std::int32_t agents = 0;
  std::int32_t silent = 0;  // of them, those that a time-out or an unreachable host keeps from answering
  std::chrono::milliseconds silent_for{0};  // how long at least half of all have been silent; 0: fewer are
  std::int32_t nodes = 0;
  std::int32_t unreachable_nodes = 0;  // condition Ready is Unknown: their kubelets are not heard of
  // Leases are read only while a zone is in doubt.
  std::int32_t renewed_nodes = 0;           // not long ago, as seen since then
  std::chrono::milliseconds leases_for{0};  // how long they have been compared
  // The same for what is certain to have happened while at least half of all agents were silent.
  std::int32_t renewed_in_silence = 0;
  std::chrono::milliseconds leases_in_silence_for{0};
  // Pods whose gates were closed because of the doubt.
  std::int32_t asked_kubelets = 0;
  std::int32_t answered_kubelets = 0;  // of them, those whose kubelet has said so to the API server
};

struct ZoneHealth {
  ZoneState state = ZoneState::kHealthy;
  TimePoint since;                      // when the state was entered
  std::optional<TimePoint> calm_since;  // since when the zone has been seen well without a break
  std::string reason;                   // in words, for status and events

  bool takes_traffic() const { return state == ZoneState::kHealthy || state == ZoneState::kRecovering; }
  bool takes_groups() const { return state == ZoneState::kHealthy || state == ZoneState::kSuspect; }
};

struct ZoneThresholds {
  std::chrono::milliseconds suspect_after = kSilenceLimit;
  std::chrono::milliseconds fail_after{7'000};  // of silence
  // Of comparing leases: in the silence, before they speak beside kubelets that were asked; and before they decide
  // alone, which is longer than the 10 s between two renewals of a node.
  std::chrono::milliseconds leases_speak_after{3'000};
  std::chrono::milliseconds leases_decide_after{11'000};
  std::chrono::milliseconds trust_after{5'000};     // of calm: Suspect becomes Healthy
  std::chrono::milliseconds recover_after{60'000};  // of calm: Recovering becomes Healthy
};

using ZoneEvidences = std::map<std::string, ZoneEvidence>;  // by zone
using ZoneHealths = std::map<std::string, ZoneHealth>;      // by zone

// `before` may lack zones (they start Healthy); zones that are no longer seen are dropped. `api_reachable`: the API
// server answered within the last seconds.
ZoneHealths next_health(const ZoneHealths& before, const ZoneEvidences& seen, bool api_reachable, TimePoint now,
                        const ZoneThresholds& thresholds = {});

}  // namespace millrace::controller
