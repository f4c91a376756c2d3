// Agents that follow a script: no process, no socket.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "common/error.h"
#include "tests/operator/reconcile/scripted_agents.h"

namespace millrace::controller::testing {

class FakeAgents final : public ScriptedAgents {
 public:
  using ScriptedAgents::drain;
  using ScriptedAgents::set_group;
  using ScriptedAgents::status;
  using Phase = common::AgentPhase;

  common::AgentStatus status(const AgentAddress& agent) override {
    const std::lock_guard lock(mutex_);
    ++asked_[agent.ip];
    return at(agent);
  }

  // Takes any generation and serves at once, unless told otherwise.
  void set_group(const AgentAddress& agent, const common::GroupMembership& membership) override {
    const std::lock_guard lock(mutex_);
    common::AgentStatus& status = at(agent);
    status.generation = membership.generation;
    status.phase = phase_after_start_;
    pushes_[agent.ip].push_back(membership);
  }

  void drain(const AgentAddress& agent) override {
    const std::lock_guard lock(mutex_);
    at(agent).phase = Phase::kDraining;
  }

  void start(const std::string& ip) {
    const std::lock_guard lock(mutex_);
    agents_[ip] = {};
  }
  void stop(const std::string& ip) {
    const std::lock_guard lock(mutex_);
    agents_.erase(ip);
  }
  void set(const std::string& ip, Phase phase, std::int64_t in_flight = 0) {
    const std::lock_guard lock(mutex_);
    agents_[ip].phase = phase;
    agents_[ip].in_flight = in_flight;
  }
  void start_into(Phase phase) {
    const std::lock_guard lock(mutex_);
    phase_after_start_ = phase;
  }
  int asked(const std::string& ip) const {
    const std::lock_guard lock(mutex_);
    const auto found = asked_.find(ip);
    return found == asked_.end() ? 0 : found->second;
  }
  bool has(const std::string& ip) const {
    const std::lock_guard lock(mutex_);
    return agents_.contains(ip);
  }
  std::vector<common::GroupMembership> pushes(const std::string& ip) const {
    const std::lock_guard lock(mutex_);
    const auto found = pushes_.find(ip);
    return found == pushes_.end() ? std::vector<common::GroupMembership>{} : found->second;
  }

 private:
  // An agent may stop between two calls: then nobody answers the second.
  common::AgentStatus& at(const AgentAddress& agent) {
    const auto found = agents_.find(agent.ip);
    if (found == agents_.end()) throw common::Error(common::Code::kUnavailable, "nobody at " + agent.ip);
    return found->second;
  }

  mutable std::mutex mutex_;
  std::map<std::string, common::AgentStatus> agents_;  // by ip
  std::map<std::string, std::vector<common::GroupMembership>> pushes_;
  std::map<std::string, int> asked_;
  Phase phase_after_start_ = Phase::kServing;
};

}  // namespace millrace::controller::testing
