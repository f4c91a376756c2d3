// One call to the admin port of an agent; what the clients of common/agent_api.h are made of.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "common/http_client.h"
#include "common/tls.h"

namespace millrace::controller {

struct AgentAddress {
  std::string ip;
  std::uint16_t admin_port = 0;
  std::string token;
  std::string previous_token = {};                    // shown to an agent that refuses `token`; empty: there is none
  std::shared_ptr<const common::TlsClient> tls = {};  // null: the agent speaks plain HTTP
};

// What opens the agents of one deployment.
struct AgentAccess {
  std::string token;
  std::string previous_token = {};
  std::map<std::string, std::shared_ptr<const common::TlsClient>> tls = {};  // by the Secret with the certificate

  // `tls_secret`: the one of the agent's pod; empty: it speaks plain HTTP.
  AgentAddress at(const std::string& ip, const std::string& tls_secret) const;
};

struct AgentCallLimits {
  std::stop_token stop;  // ends a call in flight with kCancelled
  std::chrono::milliseconds timeout{500};
  std::size_t max_body_bytes = 1 << 20;
};

// The body of a 2xx answer. Throws common::Error: kUnavailable and kDeadlineExceeded when the agent cannot be reached
// or answers 5xx, kUnauthenticated when it takes neither token, kInvalidArgument for other refusals.
std::string call_agent(const AgentAddress& agent, const std::string& method, const std::string& target,
                       const std::string& body, const AgentCallLimits& limits);

// As call_agent with GET; kDataLoss when the answer is no JSON.
nlohmann::json ask_agent(const AgentAddress& agent, const std::string& target, const AgentCallLimits& limits);

// The two ends of call_agent, for callers that do not wait: the request, and the body of its answer.
common::HttpCall agent_request(const AgentAddress& agent, const std::string& method, const std::string& target,
                               const std::string& body, const AgentCallLimits& limits);
std::string accepted_body(const common::HttpCall& call, common::HttpResponse response);

}  // namespace millrace::controller
