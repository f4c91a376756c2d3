// Models that always give the same answer: no process, no socket.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>

#include "common/error.h"
#include "operator/probe/prompt_client.h"

namespace millrace::controller::testing {

class FakePrompts final : public PromptClient {
 public:
  std::string ask(const AgentAddress& leader, const std::string& /*prompt*/, std::int32_t /*max_tokens*/) override {
    const std::lock_guard lock(mutex_);
    ++calls_;
    changed_.notify_all();
    const auto found = answers.find(leader.ip);
    if (found == answers.end()) throw common::Error(common::Code::kUnavailable, "nobody at " + leader.ip);
    return found->second;
  }

  int calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  bool wait_for_calls(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return calls_ >= count; });
  }

  std::map<std::string, std::string> answers;  // by ip; set before anybody asks

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int calls_ = 0;
};

}  // namespace millrace::controller::testing
