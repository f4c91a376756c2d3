// The life of this pod's part of its group: waits for a membership, connects the ranks, loads, serves or follows,
// fails, and starts again with the next generation. One thread does all of that; the rest only asks.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "agent/engine_slot.h"
#include "agent/group_runtime.h"
#include "common/agent_api.h"

namespace millrace::agent {

struct GroupOptions {
  engine::EngineOptions engine;  // expert_parallel comes from the membership
  engine::ModelTokens tokens;
  std::int32_t pod_index = 0;
  std::uint16_t group_port = 0;
  // Asked for each attempt to connect: peers that have another are refused.
  std::function<std::string()> secret = [] { return std::string(); };
  std::chrono::milliseconds connect_limit{120'000};   // for all pods of a generation to meet
  std::chrono::milliseconds connect_attempt{10'000};  // after each, the state says who is missing
  std::chrono::milliseconds failure_poll{100};        // how soon a failed engine is seen
};

class Group {
 public:
  // The engine appears in `slot` on the leader, while it serves. The slot outlives the group.
  Group(GroupOptions options, GroupRuntime runtime, EngineSlot& slot);
  ~Group();

  // Returns at once. Repeating a generation is fine. Throws kInvalidArgument (the sizes do not fit together or this
  // pod), kConflict (an older generation, or the same one with other members).
  void set_membership(const common::GroupMembership& membership);

  struct State {
    common::AgentPhase phase = common::AgentPhase::kWaitingForGroup;
    std::string message;
    std::int64_t generation = 0;
    bool leader = false;
    double load_progress = 0.0;
  };
  State state() const;  // looks at the engine: a failure shows at once

  // Ends the engine. A follower first waits for its leader to say stop, at most `follower_grace`. Idempotent.
  void shutdown(std::chrono::milliseconds follower_grace);

 private:
  void run();
  void bring_up(const common::GroupMembership& membership);
  void tear_down();
  std::optional<Comms> connect(const common::GroupMembership& membership);
  void lead(const engine::EngineOptions& options, Comms comms);
  void watch();
  bool superseded_locked() const;
  void set_phase(common::AgentPhase phase, const std::string& message);
  void abort_comms_locked(const std::string& reason);

  const GroupOptions options_;
  const GroupRuntime runtime_;
  EngineSlot& slot_;
  std::atomic<double> load_progress_{0.0};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<common::GroupMembership> wanted_;
  std::int64_t current_ = 0;  // generation that run() works on
  State state_;
  std::vector<std::shared_ptr<engine::Comm>> comms_;  // of the current generation, to abort them
  std::stop_source connecting_;                       // of the current generation, to end its attempts
  bool following_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

// The first fault of a membership for this pod, in words; empty when there is none.
std::string membership_fault(const common::GroupMembership& membership, std::int32_t pod_index);

// Where the ranks listen: rank r is on pod r / ranks_per_pod, at group_port + r % ranks_per_pod.
std::vector<engine::TcpEndpoint> rank_endpoints(const common::GroupMembership& membership, std::uint16_t group_port);

}  // namespace millrace::agent
