// Everything with which the operator calls agents.
#pragma once

#include <stop_token>

#include "operator/probe/agent_client.h"
#include "operator/probe/expert_client.h"
#include "operator/probe/prompt_client.h"

namespace millrace::controller {

// Borrowed, and called from several threads.
struct AgentClients {
  AgentClient& agents;
  ExpertClient& experts;
  PromptClient& prompts;
};

// The stop ends every call, in flight or to come, with kCancelled.
struct HttpAgentClients {
  explicit HttpAgentClients(const std::stop_token& stop = {}) : agents(stop), experts(stop), prompts(stop) {}

  AgentClients all() { return {agents, experts, prompts}; }

  HttpAgentClient agents;
  HttpExpertClient experts;
  HttpPromptClient prompts;
};

}  // namespace millrace::controller
