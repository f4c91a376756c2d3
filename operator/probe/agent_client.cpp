#include "operator/probe/agent_client.h"

#include <nlohmann/json.hpp>

namespace millrace::controller {

common::AgentStatus HttpAgentClient::status(const AgentAddress& agent) {
  return ask_agent(agent, "/admin/v1/status", limits_).get<common::AgentStatus>();
}

void HttpAgentClient::set_group(const AgentAddress& agent, const common::GroupMembership& membership) {
  call_agent(agent, "PUT", "/admin/v1/group", nlohmann::json(membership).dump(), limits_);
}

void HttpAgentClient::drain(const AgentAddress& agent) {
  call_agent(agent, "POST", "/admin/v1/drain", "", limits_);
}

}  // namespace millrace::controller
