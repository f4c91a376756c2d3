// What an agent last said about itself, and how long ago.
#pragma once

#include <chrono>
#include <string>

#include "common/agent_api.h"

namespace millrace::controller {

struct AgentEvidence {
  common::AgentStatus status;  // the last answer; default while there was none
  bool answered = false;       // there was an answer since the pod's address is known
  // Since the last sign of life: the answer, or the last moment at which the connection that it came over was open. The
  // kernel closes a connection whose peer has been silent for 2 s, so an age of 0 may hide that much.
  std::chrono::milliseconds age{0};
  std::chrono::milliseconds since_answer{0};  // how old `status` is
  std::string error;                          // why the last attempt failed; empty when it did not
};

// Older signs of life are history, not evidence.
inline constexpr std::chrono::milliseconds kEvidenceLimit{10'000};

// An agent that has been silent for so long is taken for gone as far as traffic goes; longer than any blip that should
// not matter.
inline constexpr std::chrono::milliseconds kSilenceLimit{3'000};

inline bool is_fresh(const AgentEvidence& evidence) {
  return evidence.answered && evidence.age <= kEvidenceLimit;
}

}  // namespace millrace::controller
