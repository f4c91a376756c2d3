// The agents' configuration file, agent.json, one object for each revision.
#pragma once

#include "common/agent_config.h"
#include "operator/resources/child.h"

namespace millrace::controller {

inline constexpr const char* kAgentConfigFile = "agent.json";

common::AgentConfig agent_config(const Spec& spec);

kube::Object build_config_map(const Parent& parent);

}  // namespace millrace::controller
