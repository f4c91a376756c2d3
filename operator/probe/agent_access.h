// What opens the agents of one deployment.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/agent_call.h"

namespace millrace::controller {

using common::AgentAddress;

struct AgentAccess {
  std::string token;
  std::string previous_token = {};
  std::map<std::string, std::shared_ptr<const common::TlsClient>> tls = {};  // by the Secret with the certificate

  // `tls_secret`: the one of the agent's pod; empty: it speaks plain HTTP.
  AgentAddress at(const std::string& ip, const std::string& tls_secret) const;
};

}  // namespace millrace::controller
