// The part of common/agent_api.h that is about experts, as the operator calls it.
#pragma once

#include <chrono>

#include "common/agent_api.h"
#include "operator/probe/agent_client.h"

namespace millrace::controller {

// As AgentClient: calls block for at most a limit, any thread, and throw common::Error.
class ExpertClient {
 public:
  virtual ~ExpertClient() = default;

  virtual common::ExpertLoadReport load(const AgentAddress& agent) = 0;
  virtual common::ExpertPlacementMessage placement(const AgentAddress& agent) = 0;
  virtual void move(const AgentAddress& agent, const common::ExpertPlacementMessage& placement) = 0;
};

class HttpExpertClient final : public ExpertClient {
 public:
  explicit HttpExpertClient(std::chrono::milliseconds limit = std::chrono::milliseconds(3000)) : limit_(limit) {}

  common::ExpertLoadReport load(const AgentAddress& agent) override;
  common::ExpertPlacementMessage placement(const AgentAddress& agent) override;
  void move(const AgentAddress& agent, const common::ExpertPlacementMessage& placement) override;

 private:
  std::string call(const AgentAddress& agent, const std::string& method, const std::string& target,
                   const std::string& body) const;

  const std::chrono::milliseconds limit_;
};

}  // namespace millrace::controller
