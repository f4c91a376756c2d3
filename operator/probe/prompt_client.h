// Asks a group's model a question, over the admin port of its leader.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <utility>

#include "operator/probe/agent_access.h"

namespace millrace::controller {

// Calls block until the answer is there, at most for a limit; any thread. They throw what common::call_agent throws,
// and kDataLoss for an answer that is no chat completion.
class PromptClient {
 public:
  virtual ~PromptClient() = default;

  // The answer, greedy and without thinking.
  virtual std::string ask(const AgentAddress& leader, const std::string& prompt, std::int32_t max_tokens) = 0;
};

class HttpPromptClient final : public PromptClient {
 public:
  static constexpr std::size_t kMaxBody = 1 << 20;

  // The stop ends every call, in flight or to come, with kCancelled.
  explicit HttpPromptClient(std::stop_token stop = {}, std::chrono::milliseconds limit = std::chrono::minutes(2))
      : limits_{std::move(stop), limit, kMaxBody} {}

  std::string ask(const AgentAddress& leader, const std::string& prompt, std::int32_t max_tokens) override;

 private:
  const common::AgentCallLimits limits_;
};

}  // namespace millrace::controller
