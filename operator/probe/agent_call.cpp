#include "operator/probe/agent_call.h"

#include <nlohmann/json.hpp>

#include "common/agent_config.h"
#include "common/error.h"

namespace millrace::controller {
namespace {

using common::Code;
using common::Error;

Code code_of(int status) {
  if (status == 401 || status == 403) return Code::kUnauthenticated;
  return status >= 500 ? Code::kUnavailable : Code::kInvalidArgument;
}

common::HttpHeaders bearer(const std::string& token) {
  return {{"Authorization", "Bearer " + token}};
}

}  // namespace

AgentAddress AgentAccess::at(const std::string& ip, const std::string& tls_secret) const {
  const auto found = tls.find(tls_secret);
  return {ip, common::kDefaultAdminPort, token, previous_token, found == tls.end() ? nullptr : found->second};
}

common::HttpCall agent_request(const AgentAddress& agent, const std::string& method, const std::string& target,
                               const std::string& body, const AgentCallLimits& limits) {
  common::HttpCall call;
  call.host = agent.ip;
  call.port = agent.admin_port;
  call.method = method;
  call.target = target;
  call.headers = bearer(agent.token);
  call.tls = agent.tls;
  call.body = body;
  call.timeout = limits.timeout;
  call.stop = limits.stop;
  call.max_body_bytes = limits.max_body_bytes;
  return call;
}

std::string accepted_body(const common::HttpCall& call, common::HttpResponse response) {
  if (response.status >= 200 && response.status < 300) return std::move(response.body);
  throw Error(code_of(response.status), call.method + " " + call.target + " at " + call.host + " answered " +
                                            std::to_string(response.status) + ": " + response.body.substr(0, 200));
}

std::string call_agent(const AgentAddress& agent, const std::string& method, const std::string& target,
                       const std::string& body, const AgentCallLimits& limits) {
  common::HttpCall call = agent_request(agent, method, target, body, limits);
  common::HttpResponse response = common::http_call(call);
  if (response.status == 401 && !agent.previous_token.empty()) {  // the agent has not read the new token yet
    call.headers = bearer(agent.previous_token);
    response = common::http_call(call);
  }
  return accepted_body(call, std::move(response));
}

nlohmann::json ask_agent(const AgentAddress& agent, const std::string& target, const AgentCallLimits& limits) {
  nlohmann::json answer = nlohmann::json::parse(call_agent(agent, "GET", target, "", limits), nullptr, false);
  if (answer.is_discarded()) throw Error(Code::kDataLoss, "the agent at " + agent.ip + " answered no JSON");
  return answer;
}

}  // namespace millrace::controller
