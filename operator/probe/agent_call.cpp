#include "operator/probe/agent_call.h"

#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/http_client.h"

namespace millrace::controller {
namespace {

using common::Code;
using common::Error;

Code code_of(int status) {
  if (status == 401 || status == 403) return Code::kUnauthenticated;
  return status >= 500 ? Code::kUnavailable : Code::kInvalidArgument;
}

}  // namespace

std::string call_agent(const AgentAddress& agent, const std::string& method, const std::string& target,
                       const std::string& body, const AgentCallLimits& limits) {
  common::HttpCall call;
  call.host = agent.ip;
  call.port = agent.admin_port;
  call.method = method;
  call.target = target;
  call.headers = {{"Authorization", "Bearer " + agent.token}};
  call.body = body;
  call.timeout = limits.timeout;
  call.stop = limits.stop;
  call.max_body_bytes = limits.max_body_bytes;
  common::HttpResponse response = common::http_call(call);
  if (response.status >= 200 && response.status < 300) return std::move(response.body);
  throw Error(code_of(response.status), method + " " + target + " at " + agent.ip + " answered " +
                                            std::to_string(response.status) + ": " + response.body.substr(0, 200));
}

nlohmann::json ask_agent(const AgentAddress& agent, const std::string& target, const AgentCallLimits& limits) {
  nlohmann::json answer = nlohmann::json::parse(call_agent(agent, "GET", target, "", limits), nullptr, false);
  if (answer.is_discarded()) throw Error(Code::kDataLoss, "the agent at " + agent.ip + " answered no JSON");
  return answer;
}

}  // namespace millrace::controller
