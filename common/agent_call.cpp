#include "common/agent_call.h"

#include <nlohmann/json.hpp>

#include "common/error.h"

namespace millrace::common {
namespace {

Code code_of(int status) {
  if (status == 401 || status == 403) return Code::kUnauthenticated;
  return status >= 500 ? Code::kUnavailable : Code::kInvalidArgument;
}

HttpHeaders bearer(const std::string& token) {
  return {{"Authorization", "Bearer " + token}};
}

}  // namespace

HttpCall agent_request(const AgentAddress& agent, const std::string& method, const std::string& target,
                       const std::string& body, const AgentCallLimits& limits) {
  HttpCall call;
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

std::string accepted_body(const HttpCall& call, HttpResponse response) {
  if (response.status >= 200 && response.status < 300) return std::move(response.body);
  throw Error(code_of(response.status), call.method + " " + call.target + " at " + call.host + " answered " +
                                            std::to_string(response.status) + ": " + response.body.substr(0, 200));
}

std::string call_agent(const AgentAddress& agent, const std::string& method, const std::string& target,
                       const std::string& body, const AgentCallLimits& limits) {
  HttpCall call = agent_request(agent, method, target, body, limits);
  HttpResponse response = http_call(call);
  if (response.status == 401 && !agent.previous_token.empty()) {  // the agent has not read the new token yet
    call.headers = bearer(agent.previous_token);
    response = http_call(call);
  }
  return accepted_body(call, std::move(response));
}

nlohmann::json json_from_agent(const std::string& ip, const std::string& body) {
  nlohmann::json answer = nlohmann::json::parse(body, nullptr, false);
  if (answer.is_discarded()) throw Error(Code::kDataLoss, "the agent at " + ip + " answered no JSON");
  return answer;
}

nlohmann::json ask_agent(const AgentAddress& agent, const std::string& method, const std::string& target,
                         const AgentCallLimits& limits) {
  return json_from_agent(agent.ip, call_agent(agent, method, target, "", limits));
}

}  // namespace millrace::common
