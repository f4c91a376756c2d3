// An AgentClient of agents that answer at once: no socket, no thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "common/error.h"
#include "operator/probe/agent_client.h"

namespace millrace::controller::testing {

class ScriptedAgents : public AgentClient {
 public:
  // What an agent does. They throw common::Error when nobody is there.
  virtual common::AgentStatus status(const AgentAddress& agent) = 0;
  virtual void set_group(const AgentAddress& agent, const common::GroupMembership& membership) = 0;
  virtual void drain(const AgentAddress& agent) = 0;

  void status(const AgentAddress& agent, std::uint64_t known, std::function<void(StatusAnswer)> done) final {
    StatusAnswer answer;
    answer.error = failure_of([&] { answer.status = status(agent); });
    answer.watched = answer.error.empty() && watched;
    answer.digest = digest;
    if (answer.error.empty() && digest != 0 && known == digest) answer.status.reset();
    done(std::move(answer));
  }
  void set_group(const AgentAddress& agent, const common::GroupMembership& membership, Done done) final {
    done(failure_of([&] { set_group(agent, membership); }));
  }
  void drain(const AgentAddress& agent, Done done) final {
    done(failure_of([&] { drain(agent); }));
  }
  void forget(const AgentAddress& agent) override { static_cast<void>(agent); }
  void on_lost(Lost lost) override {
    const std::lock_guard lock(lost_mutex_);
    lost_ = std::move(lost);
  }

  // The connection to an agent ends.
  void lose(const std::string& ip, std::chrono::milliseconds silent_for = {}) {
    const std::lock_guard lock(lost_mutex_);
    if (lost_) lost_(ip, silent_for);
  }

  std::atomic<bool> watched = false;      // connections are kept
  std::atomic<std::uint64_t> digest = 0;  // of every answer; 0: all differ

 private:
  static std::string failure_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const common::Error& error) {
      return error.what();
    }
    return "";
  }

  std::mutex lost_mutex_;
  Lost lost_;
};

}  // namespace millrace::controller::testing
