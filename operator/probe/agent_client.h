// The operator's side of common/agent_api.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <utility>

#include "common/agent_api.h"

namespace millrace::controller {

struct AgentAddress {
  std::string ip;
  std::uint16_t admin_port = 0;
  std::string token;
};

// Calls block for at most a short limit; any thread. They throw common::Error: kUnavailable and kDeadlineExceeded when
// the agent cannot be reached, kUnauthenticated for a wrong token, others for answers that make no sense.
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
      : stop_(std::move(stop)), limit_(limit) {}

  common::AgentStatus status(const AgentAddress& agent) override;
  void set_group(const AgentAddress& agent, const common::GroupMembership& membership) override;
  void drain(const AgentAddress& agent) override;

 private:
  std::string call(const AgentAddress& agent, const std::string& method, const std::string& target,
                   const std::string& body) const;

  const std::stop_token stop_;
  const std::chrono::milliseconds limit_;
};

}  // namespace millrace::controller
