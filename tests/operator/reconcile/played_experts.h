// Leaders' agents, as far as they route tokens to experts: two ranks with two of four experts each, and prompts that
// make the first two twice as busy as a fair share. A move takes two rounds.
#pragma once

#include <map>
#include <string>

#include "common/error.h"
#include "operator/plan/experts_cycle.h"
#include "operator/probe/expert_client.h"

namespace millrace::controller::testing {

class PlayedExperts final : public ExpertClient {
 public:
  common::ExpertLoadReport load(const AgentAddress& agent) override { return at(agent).reading.load; }
  common::ExpertPlacementMessage placement(const AgentAddress& agent) override { return at(agent).reading.placement; }
  void move(const AgentAddress& agent, const common::ExpertPlacementMessage& placement) override {
    Agent& asked = at(agent);
    common::ExpertPlacementMessage& now = asked.reading.placement;
    if (asked.rounds_left > 0) throw common::Error(common::Code::kUnavailable, "another move is going on");
    if (placement.number <= now.number) throw common::Error(common::Code::kInvalidArgument, "an old number");
    now.move = {placement.number, common::ExpertMovePhase::kPreparing, ""};
    asked.target = placement;
    asked.rounds_left = 2;
    ++moves;
  }

  // A while passes.
  void round() {
    for (auto& [ip, agent] : agents_) {
      const std::int64_t skewed[] = {300, 300, 100, 100};
      for (std::size_t i = 0; i < 4; ++i) agent.reading.load.tokens[0][i] += skewed[i];
      agent.reading.load.steps += 10;
      if (agent.rounds_left == 0 || --agent.rounds_left > 0) continue;
      agent.reading.placement.number = agent.target.number;
      agent.reading.placement.slots = agent.target.slots;
      agent.reading.placement.move = {agent.target.number, common::ExpertMovePhase::kInForce, ""};
    }
  }

  // Of every agent that was asked: no rank has more than its share.
  bool balanced() const {
    for (const auto& [ip, agent] : agents_) {
      const auto& row = agent.reading.placement.slots[0];
      const auto busy = [](std::int32_t expert) { return expert < 2; };
      if (busy(row[0]) == busy(row[1])) return false;
    }
    return !agents_.empty();
  }

  int moves = 0;

 private:
  struct Agent {
    ExpertReading reading;
    common::ExpertPlacementMessage target;
    int rounds_left = 0;
  };

  Agent& at(const AgentAddress& address) {
    const auto [found, fresh] = agents_.try_emplace(address.ip);
    if (fresh) {
      found->second.reading.load.generation = 1;
      found->second.reading.load.expert_bytes = 100;
      found->second.reading.load.tokens = {{0, 0, 0, 0}};
      found->second.reading.placement.slots_per_rank = 2;
      found->second.reading.placement.slots = {{0, 1, 2, 3}};
    }
    return found->second;
  }

  std::map<std::string, Agent> agents_;  // by ip
};

}  // namespace millrace::controller::testing
