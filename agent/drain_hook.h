// What runs before an agent is told to end, next to it: has it drain, and waits until it takes no more requests.
#pragma once

#include <chrono>

#include "agent/agent.h"

namespace millrace::agent {

// `options` are those of the agent that runs. Back at once when that serves nobody. Throws common::Error when it does
// not answer, and kDeadlineExceeded when it still takes requests after `limit`.
void drain_and_wait(const AgentOptions& options, std::chrono::milliseconds limit);

}  // namespace millrace::agent
