#include "agent/drain_hook.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "common/agent_api.h"
#include "common/agent_call.h"

namespace millrace::agent {
namespace {

constexpr std::chrono::milliseconds kAnswersWithin{5'000};
constexpr std::chrono::milliseconds kLookEvery{100};

}  // namespace

void drain_and_wait(const AgentOptions& options, std::chrono::milliseconds limit) {
  common::AgentAddress agent{options.bind, options.config.admin_port, ""};
  if (options.admin_token) agent.token = options.admin_token->oldest();
  // As a kubelet's probes do: the certificate is for the Service, and this is the pod's own address.
  if (options.tls) agent.tls = common::make_tls_client({.verify = false});
  const auto ask = [&](const char* method, const char* target) {
    return common::ask_agent(agent, method, target, {.stop = {}, .timeout = kAnswersWithin}).get<common::AgentStatus>();
  };
  const auto deadline = std::chrono::steady_clock::now() + limit;
  common::AgentStatus status = ask("POST", "/admin/v1/drain");
  while (status.accepting) {
    if (std::chrono::steady_clock::now() >= deadline) {
      throw common::Error(common::Code::kDeadlineExceeded,
                          "the agent still takes requests after " + std::to_string(limit.count()) + " ms");
    }
    std::this_thread::sleep_for(kLookEvery);
    status = ask("GET", "/admin/v1/status");
  }
}

}  // namespace millrace::agent
