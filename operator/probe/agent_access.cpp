#include "operator/probe/agent_access.h"

#include "common/agent_config.h"

namespace millrace::controller {

AgentAddress AgentAccess::at(const std::string& ip, const std::string& tls_secret) const {
  const auto found = tls.find(tls_secret);
  return {ip, common::kDefaultAdminPort, token, previous_token, found == tls.end() ? nullptr : found->second};
}

}  // namespace millrace::controller
