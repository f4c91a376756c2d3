#include "operator/probe/expert_client.h"

#include <nlohmann/json.hpp>

namespace millrace::controller {
namespace {

constexpr const char* kLoad = "/admin/v1/experts/load";
constexpr const char* kPlacement = "/admin/v1/experts/placement";

}  // namespace

common::ExpertLoadReport HttpExpertClient::load(const AgentAddress& agent) {
  return common::ask_agent(agent, "GET", kLoad, limits_).get<common::ExpertLoadReport>();
}

common::ExpertPlacementMessage HttpExpertClient::placement(const AgentAddress& agent) {
  return common::ask_agent(agent, "GET", kPlacement, limits_).get<common::ExpertPlacementMessage>();
}

void HttpExpertClient::move(const AgentAddress& agent, const common::ExpertPlacementMessage& placement) {
  common::call_agent(agent, "PUT", kPlacement, nlohmann::json(placement).dump(), limits_);
}

}  // namespace millrace::controller
