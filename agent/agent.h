// The agent of one pod: the two ports, the group, and how they start and stop together.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "agent/admission.h"
#include "agent/group_runtime.h"
#include "common/access_token.h"
#include "common/agent_config.h"
#include "common/tls.h"

namespace millrace::agent {

struct AgentOptions {
  common::AgentConfig config;
  std::filesystem::path model_directory;
  std::string bind = "0.0.0.0";
  std::int32_t pod_index = 0;
  std::optional<common::AccessToken> admin_token;  // absent: the admin port asks for none
  std::optional<common::AccessToken> api_key;      // absent: the public port asks for none
  std::optional<common::TlsServerFiles> tls;       // absent: both ports speak plain HTTP
  LateRequests late_requests{std::chrono::seconds(3), std::chrono::seconds(30)};  // after POST /admin/v1/drain
  // A membership of this pod alone, set at once: no operator is needed.
  std::optional<common::GroupMembership> standalone;
};

class Agent {
 public:
  // Reads the text side of the model and listens. Throws common::Error.
  Agent(AgentOptions options, GroupRuntime runtime);
  ~Agent();  // as stop() without grace

  std::uint16_t port() const;
  std::uint16_t admin_port() const;

  // Refuses new requests, lets the running ones finish within `grace`, then ends everything. Idempotent.
  void stop(std::chrono::milliseconds grace);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace millrace::agent
