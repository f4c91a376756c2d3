#include "agent/drain_hook.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "common/agent_api.h"
#include "common/http_client.h"

namespace millrace::agent {
namespace {

using common::AgentStatus;

constexpr std::chrono::milliseconds kAnswersWithin{5'000};
constexpr std::chrono::milliseconds kLookEvery{100};

AgentStatus ask(common::HttpCall call, const char* method, const char* target) {
  call.method = method;
  call.target = target;
  const common::HttpResponse response = common::http_call(call);
  const std::string what = call.host + ":" + std::to_string(call.port) + target;
  if (response.status != 200) {
    throw common::Error(common::Code::kUnavailable, what + " answered " + std::to_string(response.status));
  }
  const auto json = nlohmann::json::parse(response.body, nullptr, false);
  if (json.is_discarded()) throw common::Error(common::Code::kUnavailable, what + " answered no JSON");
  return json.get<AgentStatus>();
}

}  // namespace

void drain_and_wait(const AgentOptions& options, std::chrono::milliseconds limit) {
  common::HttpCall call;
  call.host = options.bind;
  call.port = options.config.admin_port;
  call.timeout = kAnswersWithin;
  if (options.admin_token) call.headers = {{"Authorization", "Bearer " + options.admin_token->oldest()}};
  // As a kubelet's probes do: the certificate is for the Service, and this is the pod's own address.
  if (options.tls) call.tls = common::make_tls_client({.verify = false});
  const auto deadline = std::chrono::steady_clock::now() + limit;
  AgentStatus status = ask(call, "POST", "/admin/v1/drain");
  while (status.accepting) {
    if (std::chrono::steady_clock::now() >= deadline) {
      throw common::Error(common::Code::kDeadlineExceeded,
                          "the agent still takes requests after " + std::to_string(limit.count()) + " ms");
    }
    std::this_thread::sleep_for(kLookEvery);
    status = ask(call, "GET", "/admin/v1/status");
  }
}

}  // namespace millrace::agent
