#include "operator/probe/agent_client.h"

#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/http_client.h"

namespace millrace::controller {
namespace {

using common::Code;
using common::Error;
using Json = nlohmann::json;

}  // namespace

std::string HttpAgentClient::call(const AgentAddress& agent, const std::string& method, const std::string& target,
                                  const std::string& body) const {
  common::HttpCall call;
  call.host = agent.ip;
  call.port = agent.admin_port;
  call.method = method;
  call.target = target;
  call.headers = {{"Authorization", "Bearer " + agent.token}};
  call.body = body;
  call.timeout = limit_;
  call.stop = stop_;
  call.max_body_bytes = 1 << 20;
  common::HttpResponse response = common::http_call(call);
  if (response.status >= 200 && response.status < 300) return std::move(response.body);
  const std::string what = method + " " + target + " at " + agent.ip + " answered " + std::to_string(response.status) +
                           ": " + response.body.substr(0, 200);
  if (response.status == 401 || response.status == 403) throw Error(Code::kUnauthenticated, what);
  throw Error(response.status >= 500 ? Code::kUnavailable : Code::kInvalidArgument, what);
}

common::AgentStatus HttpAgentClient::status(const AgentAddress& agent) {
  const Json body = Json::parse(call(agent, "GET", "/admin/v1/status", ""), nullptr, false);
  if (body.is_discarded()) throw Error(Code::kDataLoss, "the agent at " + agent.ip + " answered no JSON");
  return body.get<common::AgentStatus>();
}

void HttpAgentClient::set_group(const AgentAddress& agent, const common::GroupMembership& membership) {
  call(agent, "PUT", "/admin/v1/group", Json(membership).dump());
}

void HttpAgentClient::drain(const AgentAddress& agent) {
  call(agent, "POST", "/admin/v1/drain", "");
}

}  // namespace millrace::controller
