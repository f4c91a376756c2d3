// What an agent last said about itself, and how long ago.
#pragma once

#include <chrono>
#include <string>

#include "common/agent_api.h"

namespace millrace::controller {

struct AgentEvidence {
  common::AgentStatus status;        // the last answer; default while there was none
  bool answered = false;             // there was an answer since the pod's address is known
  std::chrono::milliseconds age{0};  // of that answer
  std::string error;                 // why the last attempt failed; empty when it did not
};

// Older answers are history, not evidence.
inline constexpr std::chrono::milliseconds kEvidenceLimit{10'000};

inline bool is_fresh(const AgentEvidence& evidence) {
  return evidence.answered && evidence.age <= kEvidenceLimit;
}

}  // namespace millrace::controller
