// The part of common/agent_api.h that is about experts, as the operator calls it.
#pragma once

#include <chrono>
#include <cstddef>
#include <stop_token>
#include <utility>

#include "common/agent_api.h"
#include "operator/probe/agent_access.h"

namespace millrace::controller {

// As AgentClient: calls block for at most a limit, any thread, and throw what common::call_agent throws.
class ExpertClient {
 public:
  virtual ~ExpertClient() = default;

  virtual common::ExpertLoadReport load(const AgentAddress& agent) = 0;
  virtual common::ExpertPlacementMessage placement(const AgentAddress& agent) = 0;
  virtual void move(const AgentAddress& agent, const common::ExpertPlacementMessage& placement) = 0;
};

class HttpExpertClient final : public ExpertClient {
 public:
  static constexpr std::size_t kMaxBody = 16 << 20;  // a table of layers x experts

  // The stop ends every call, in flight or to come, with kCancelled.
  explicit HttpExpertClient(std::stop_token stop = {},
                            std::chrono::milliseconds limit = std::chrono::milliseconds(3000))
      : limits_{std::move(stop), limit, kMaxBody} {}

  common::ExpertLoadReport load(const AgentAddress& agent) override;
  common::ExpertPlacementMessage placement(const AgentAddress& agent) override;
  void move(const AgentAddress& agent, const common::ExpertPlacementMessage& placement) override;

 private:
  const common::AgentCallLimits limits_;
};

}  // namespace millrace::controller
