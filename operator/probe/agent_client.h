// The operator's side of common/agent_api.h.
#pragma once

#include <chrono>
#include <stop_token>
#include <utility>

#include "common/agent_api.h"
#include "operator/probe/agent_call.h"

namespace millrace::controller {

// Calls block for at most a short limit; any thread. They throw what call_agent throws.
class AgentClient {
 public:
  virtual ~AgentClient() = default;

  virtual common::AgentStatus status(const AgentAddress& agent) = 0;
  virtual void set_group(const AgentAddress& agent, const common::GroupMembership& membership) = 0;
  virtual void drain(const AgentAddress& agent) = 0;
};

class HttpAgentClient final : public AgentClient {
 public:
  // The stop ends every call, in flight or to come, with kCancelled.
  explicit HttpAgentClient(std::stop_token stop = {}, std::chrono::milliseconds limit = std::chrono::milliseconds(500))
      : limits_{std::move(stop), limit} {}

  common::AgentStatus status(const AgentAddress& agent) override;
  void set_group(const AgentAddress& agent, const common::GroupMembership& membership) override;
  void drain(const AgentAddress& agent) override;

 private:
  const AgentCallLimits limits_;
};

}  // namespace millrace::controller
