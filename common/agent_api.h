// What the operator and the agents say to each other, in JSON over the agent's admin port. Every call but /livez and
// /readyz, which the kubelet asks, carries "Authorization: Bearer <admin token>".
//
//   GET  /livez                       200 while the process is sound
//   GET  /readyz                      200 when this pod could serve, else 503 with the reason
//                                     (leader: the engine runs; follower: its ranks are loaded)
//   GET  /metrics                     Prometheus text
//   GET  /admin/v1/status             AgentStatus
//   PUT  /admin/v1/group              GroupMembership; idempotent per generation,
//                                     a higher generation restarts the group's engine
//   POST /admin/v1/drain              not ready, and no new requests once none come any more; idempotent; returns
//                                     AgentStatus
//   GET  /admin/v1/experts/load       ExpertLoadReport (leader; every rank routes every token, so its counts are all)
//   GET  /admin/v1/experts/placement  ExpertPlacementMessage (leader)
//   PUT  /admin/v1/experts/placement  ExpertPlacementMessage (leader); starts the move and answers with the placement
//                                     still in force; 409 while another move is going on
//   POST /admin/v1/chat/completions   as /v1/chat/completions of the public port, for a caller without an API key
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/agent_load.h"

namespace millrace::common {

enum class AgentPhase : std::uint8_t {
  kWaitingForGroup,  // no membership yet
  kLoading,          // connecting ranks, loading weights
  kServing,          // leader: answers requests; follower: follows
  kDraining,         // finishing what runs
  kFailed,           // the group is broken; `message` says why; a new generation or a restart cures it
};
std::string_view to_string(AgentPhase phase);  // "WaitingForGroup", "Loading", ...

struct AgentStatus {
  AgentPhase phase = AgentPhase::kWaitingForGroup;
  std::string message;
  std::int64_t generation = 0;  // of the membership in force
  std::int32_t pod_index = 0;
  bool leader = false;
  double load_progress = 0.0;  // 0..1
  bool accepting = false;      // takes new requests (leader); true for a while after a drain: some come late
  std::int64_t in_flight = 0;  // requests accepted and not finished (leader)
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  double kv_usage = 0.0;     // 0..1
  double state_usage = 0.0;  // 0..1
  std::int64_t placement_number = 0;
  // Of a leader whose engine runs; else null, as from earlier versions. Apart, for it is the larger part of a status.
  std::shared_ptr<const AgentLoad> load;
};

struct GroupPeer {
  std::int32_t pod_index = 0;
  std::string host;  // pod IP
};

// Pushed by the operator to every pod of a group once all pods have addresses.
struct GroupMembership {
  std::int64_t generation = 0;  // increases whenever a member changes
  std::string group;            // for logs and metrics
  std::int32_t tensor_parallel = 1;
  std::int32_t expert_parallel = 1;
  std::int32_t ranks_per_pod = 1;
  std::vector<GroupPeer> peers;  // all pods, by pod_index
};

struct ExpertLoadReport {
  std::int64_t placement_number = 0;
  std::int64_t generation = 0;                    // of the group; a new one counts from 0
  std::int64_t expert_bytes = 0;                  // of one expert in one layer
  std::int64_t steps = 0;                         // engine steps since the group started
  std::vector<std::vector<std::int64_t>> tokens;  // [layer][expert], since the group started
};

enum class ExpertMovePhase : std::uint8_t {
  kNone,       // nothing was asked for since the agent started
  kPreparing,  // ranks read experts; the old placement serves
  kInForce,
  kFailed,  // the old placement stayed; `message` says why
};
std::string_view to_string(ExpertMovePhase phase);  // "None", "Preparing", ...

// The last move that was asked for.
struct ExpertMoveReport {
  std::int64_t number = 0;
  ExpertMovePhase phase = ExpertMovePhase::kNone;
  std::string message;
};

struct ExpertPlacementMessage {
  std::int64_t number = 0;
  std::int32_t slots_per_rank = 0;
  std::vector<std::vector<std::int32_t>> slots;  // [layer][ep_rank * slots_per_rank + slot] = expert
  std::int64_t max_bytes_per_second = 0;         // PUT: that a rank may read meanwhile; 0: no limit
  ExpertMoveReport move;                         // answers: the last move
};

// Reading throws Error{kInvalidArgument} naming the field.
void to_json(nlohmann::json& json, const AgentStatus& value);
void from_json(const nlohmann::json& json, AgentStatus& value);
void to_json(nlohmann::json& json, const GroupMembership& value);
void from_json(const nlohmann::json& json, GroupMembership& value);
void to_json(nlohmann::json& json, const ExpertLoadReport& value);
void from_json(const nlohmann::json& json, ExpertLoadReport& value);
void to_json(nlohmann::json& json, const ExpertPlacementMessage& value);
void from_json(const nlohmann::json& json, ExpertPlacementMessage& value);

}  // namespace millrace::common
