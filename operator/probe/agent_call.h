// One call to the admin port of an agent; what the clients of common/agent_api.h are made of.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

namespace millrace::controller {

struct AgentAddress {
  std::string ip;
  std::uint16_t admin_port = 0;
  std::string token;
};

struct AgentCallLimits {
  std::stop_token stop;  // ends a call in flight with kCancelled
  std::chrono::milliseconds timeout{500};
  std::size_t max_body_bytes = 1 << 20;
};

// The body of a 2xx answer. Throws common::Error: kUnavailable and kDeadlineExceeded when the agent cannot be reached
// or answers 5xx, kUnauthenticated for a wrong token, kInvalidArgument for other refusals.
std::string call_agent(const AgentAddress& agent, const std::string& method, const std::string& target,
                       const std::string& body, const AgentCallLimits& limits);

// As call_agent with GET; kDataLoss when the answer is no JSON.
nlohmann::json ask_agent(const AgentAddress& agent, const std::string& target, const AgentCallLimits& limits);

}  // namespace millrace::controller
