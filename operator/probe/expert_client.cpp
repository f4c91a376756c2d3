#include "operator/probe/expert_client.h"

#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/http_client.h"

namespace millrace::controller {
namespace {

using common::Code;
using common::Error;
using Json = nlohmann::json;

constexpr std::size_t kMaxBody = 16 << 20;  // a table of layers x experts
constexpr const char* kLoad = "/admin/v1/experts/load";
constexpr const char* kPlacement = "/admin/v1/experts/placement";

template <typename Value>
Value parse(const std::string& body, const AgentAddress& agent) {
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) throw Error(Code::kDataLoss, "the agent at " + agent.ip + " answered no JSON");
  return json.get<Value>();
}

}  // namespace

std::string HttpExpertClient::call(const AgentAddress& agent, const std::string& method, const std::string& target,
                                   const std::string& body) const {
  common::HttpCall call;
  call.host = agent.ip;
  call.port = agent.admin_port;
  call.method = method;
  call.target = target;
  call.headers = {{"Authorization", "Bearer " + agent.token}};
  call.body = body;
  call.timeout = limit_;
  call.max_body_bytes = kMaxBody;
  common::HttpResponse response = common::http_call(call);
  if (response.status >= 200 && response.status < 300) return std::move(response.body);
  throw Error(Code::kUnavailable, method + " " + target + " at " + agent.ip + " answered " +
                                      std::to_string(response.status) + ": " + response.body.substr(0, 200));
}

common::ExpertLoadReport HttpExpertClient::load(const AgentAddress& agent) {
  return parse<common::ExpertLoadReport>(call(agent, "GET", kLoad, ""), agent);
}

common::ExpertPlacementMessage HttpExpertClient::placement(const AgentAddress& agent) {
  return parse<common::ExpertPlacementMessage>(call(agent, "GET", kPlacement, ""), agent);
}

void HttpExpertClient::move(const AgentAddress& agent, const common::ExpertPlacementMessage& placement) {
  call(agent, "PUT", kPlacement, Json(placement).dump());
}

}  // namespace millrace::controller
