// Whether a group should get traffic. Taking it away needs evidence, and so does giving it: when the operator merely
// cannot see a group (its own network may be what is broken), what was decided last stays.
#pragma once

#include "operator/plan/group.h"

namespace millrace::controller {

enum class Gate {
  kOpen,    // route
  kClosed,  // take out of traffic
  kKeep,    // no evidence: leave as it is
};

Gate wanted_gate(const GroupView& group);

// Why a group is avoided of which nothing bad is known; reasons of its closed gates.
inline constexpr const char* kZoneInDoubt = "ZoneInDoubt";
inline constexpr const char* kSilent = "Silent";

// What is said for a kubelet that may be cut off: reason and message of its pod's condition Ready. A kubelet that is
// there puts its own words in their place at once, because it expects another message; that is its answer.
inline constexpr const char* kForKubeletReason = "KubeletInDoubt";
inline constexpr const char* kForKubeletMessage = "said by the operator, because the node may be cut off";

// Its leader answered at some time and has not for kSilenceLimit: reason enough to prefer groups that answer.
bool is_silent(const GroupView& group);

// How long until it is, should the leader go on not answering; 0: it answers, never has, or is silent already.
std::chrono::milliseconds until_silent(const GroupView& group);

}  // namespace millrace::controller
