// One call to the admin port of an agent (common/agent_api.h): what the operator's clients and the agent's own hook are
// made of.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "common/http_client.h"
#include "common/tls.h"

namespace millrace::common {

struct AgentAddress {
  std::string ip;
  std::uint16_t admin_port = 0;
  std::string token;
  std::string previous_token = {};            // shown to an agent that refuses `token`; empty: there is none
  std::shared_ptr<const TlsClient> tls = {};  // null: the agent speaks plain HTTP
};

struct AgentCallLimits {
  std::stop_token stop;  // ends a call in flight with kCancelled
  std::chrono::milliseconds timeout{500};
  std::size_t max_body_bytes = 1 << 20;
};

// The body of a 2xx answer. Throws Error: kUnavailable and kDeadlineExceeded when the agent cannot be reached or
// answers 5xx, kUnauthenticated when it takes neither token, kInvalidArgument for other refusals.
std::string call_agent(const AgentAddress& agent, const std::string& method, const std::string& target,
                       const std::string& body, const AgentCallLimits& limits);

// As call_agent without a body; kDataLoss when the answer is no JSON.
nlohmann::json ask_agent(const AgentAddress& agent, const std::string& method, const std::string& target,
                         const AgentCallLimits& limits);

// The parts of ask_agent, for callers that do not wait: the request, the body of its answer, and what that says.
HttpCall agent_request(const AgentAddress& agent, const std::string& method, const std::string& target,
                       const std::string& body, const AgentCallLimits& limits);
std::string accepted_body(const HttpCall& call, HttpResponse response);
nlohmann::json json_from_agent(const std::string& ip, const std::string& body);

}  // namespace millrace::common
