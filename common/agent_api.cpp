#include "common/agent_api.h"

#include <algorithm>
#include <array>

#include "common/error.h"
#include "common/json_fields.h"

namespace millrace::common {
namespace {

constexpr std::array<std::string_view, 5> kPhaseNames = {"WaitingForGroup", "Loading", "Serving", "Draining", "Failed"};

AgentPhase parse_phase(const std::string& text) {
  for (std::size_t i = 0; i < kPhaseNames.size(); ++i) {
    if (kPhaseNames[i] == text) return static_cast<AgentPhase>(i);
  }
  throw Error(Code::kInvalidArgument,
              "phase is \"" + text + "\"; expected WaitingForGroup, Loading, Serving, Draining or Failed");
}

// A table of integers; rows may differ in length.
template <typename Int>
std::vector<std::vector<Int>> read_table(JsonFields& fields, std::string_view key) {
  std::vector<std::vector<Int>> table;
  const nlohmann::json* rows = fields.required(key).array(key);
  table.reserve(rows->size());
  for (const auto& row : *rows) {
    const std::string row_name = fields.name(key) + "[" + std::to_string(table.size()) + "]";
    if (!row.is_array()) throw Error(Code::kInvalidArgument, row_name + " is not an array of integers");
    std::vector<Int>& values = table.emplace_back();
    values.reserve(row.size());
    for (const auto& item : row) {
      values.push_back(static_cast<Int>(json_integer(item, row_name + "[" + std::to_string(values.size()) + "]", 0,
                                                     std::numeric_limits<Int>::max())));
    }
  }
  return table;
}

GroupPeer read_peer(const nlohmann::json& json, std::size_t index) {
  GroupPeer peer;
  JsonFields fields(json, "peers[" + std::to_string(index) + "]");
  fields.required("pod_index").read("pod_index", peer.pod_index, 0).required("host").read("host", peer.host);
  if (peer.host.empty()) throw Error(Code::kInvalidArgument, fields.name("host") + " is empty; expected an address");
  if (peer.pod_index != static_cast<std::int32_t>(index)) {
    throw Error(Code::kInvalidArgument, fields.name("pod_index") + " is " + std::to_string(peer.pod_index) +
                                            "; expected " + std::to_string(index) + ": list all pods in order");
  }
  return peer;
}

// Load only guides the autoscaler, which knows what to do without it; it must not hide how the agent is.
std::shared_ptr<const AgentLoad> read_load(const nlohmann::json& status) {
  const auto load = status.find("load");
  if (load == status.end()) return nullptr;
  try {
    return std::make_shared<const AgentLoad>(load->get<AgentLoad>());
  } catch (const Error&) {
    return nullptr;
  }
}

constexpr std::array<std::string_view, 4> kMoveNames = {"None", "Preparing", "InForce", "Failed"};

ExpertMoveReport read_move(const nlohmann::json& json) {
  ExpertMoveReport move;
  std::string phase;
  JsonFields(json, "move")
      .read("number", move.number, 0)
      .required("phase")
      .read("phase", phase)
      .read("message", move.message);
  const auto found = std::find(kMoveNames.begin(), kMoveNames.end(), phase);
  if (found == kMoveNames.end()) {
    throw Error(Code::kInvalidArgument, "move.phase is \"" + phase + "\"; expected None, Preparing, InForce or Failed");
  }
  move.phase = static_cast<ExpertMovePhase>(found - kMoveNames.begin());
  return move;
}

}  // namespace

std::string_view to_string(ExpertMovePhase phase) {
  return kMoveNames[static_cast<std::size_t>(phase)];
}

std::string_view to_string(AgentPhase phase) {
  return kPhaseNames[static_cast<std::size_t>(phase)];
}

void to_json(nlohmann::json& json, const AgentStatus& value) {
  json = {{"phase", to_string(value.phase)},
          {"message", value.message},
          {"generation", value.generation},
          {"pod_index", value.pod_index},
          {"leader", value.leader},
          {"load_progress", value.load_progress},
          {"accepting", value.accepting},
          {"in_flight", value.in_flight},
          {"running", value.running},
          {"waiting", value.waiting},
          {"kv_usage", value.kv_usage},
          {"state_usage", value.state_usage},
          {"placement_number", value.placement_number}};
  if (value.load) json["load"] = *value.load;
}

void from_json(const nlohmann::json& json, AgentStatus& value) {
  AgentStatus read;
  std::string phase;
  JsonFields(json, "")
      .required("phase")
      .read("phase", phase)
      .read("message", read.message)
      .read("generation", read.generation)
      .read("pod_index", read.pod_index, 0)
      .read("leader", read.leader)
      .read("load_progress", read.load_progress)
      .read("accepting", read.accepting)
      .read("in_flight", read.in_flight, 0)
      .read("running", read.running, 0)
      .read("waiting", read.waiting, 0)
      .read("kv_usage", read.kv_usage)
      .read("state_usage", read.state_usage)
      .read("placement_number", read.placement_number, 0);
  read.phase = parse_phase(phase);
  read.load = read_load(json);
  value = read;
}

void to_json(nlohmann::json& json, const GroupMembership& value) {
  auto peers = nlohmann::json::array();
  for (const GroupPeer& peer : value.peers) peers.push_back({{"pod_index", peer.pod_index}, {"host", peer.host}});
  json = {{"generation", value.generation},           {"group", value.group},
          {"tensor_parallel", value.tensor_parallel}, {"expert_parallel", value.expert_parallel},
          {"ranks_per_pod", value.ranks_per_pod},     {"peers", std::move(peers)}};
}

void from_json(const nlohmann::json& json, GroupMembership& value) {
  GroupMembership read;
  JsonFields fields(json, "");
  fields.required("generation")
      .read("generation", read.generation, 1)
      .read("group", read.group)
      .read("tensor_parallel", read.tensor_parallel, 1, 4096)
      .read("expert_parallel", read.expert_parallel, 1, 4096)
      .read("ranks_per_pod", read.ranks_per_pod, 1, 256);
  const nlohmann::json* peers = fields.required("peers").array("peers");
  for (const auto& peer : *peers) read.peers.push_back(read_peer(peer, read.peers.size()));
  if (read.peers.empty()) throw Error(Code::kInvalidArgument, "peers is empty; expected every pod of the group");
  value = read;
}

void to_json(nlohmann::json& json, const ExpertLoadReport& value) {
  json = {{"placement_number", value.placement_number},
          {"generation", value.generation},
          {"expert_bytes", value.expert_bytes},
          {"steps", value.steps},
          {"tokens", value.tokens}};
}

void from_json(const nlohmann::json& json, ExpertLoadReport& value) {
  ExpertLoadReport read;
  JsonFields fields(json, "");
  fields.read("placement_number", read.placement_number, 0)
      .read("generation", read.generation, 0)
      .read("expert_bytes", read.expert_bytes, 0)
      .read("steps", read.steps, 0);
  read.tokens = read_table<std::int64_t>(fields, "tokens");
  value = read;
}

void to_json(nlohmann::json& json, const ExpertPlacementMessage& value) {
  json = {{"number", value.number},
          {"slots_per_rank", value.slots_per_rank},
          {"slots", value.slots},
          {"max_bytes_per_second", value.max_bytes_per_second},
          {"move",
           {{"number", value.move.number}, {"phase", to_string(value.move.phase)}, {"message", value.move.message}}}};
}

void from_json(const nlohmann::json& json, ExpertPlacementMessage& value) {
  ExpertPlacementMessage read;
  JsonFields fields(json, "");
  fields.required("number")
      .read("number", read.number, 0)
      .required("slots_per_rank")
      .read("slots_per_rank", read.slots_per_rank, 1, 65536)
      .read("max_bytes_per_second", read.max_bytes_per_second, 0);
  read.slots = read_table<std::int32_t>(fields, "slots");
  if (json.contains("move")) read.move = read_move(json["move"]);
  value = read;
}

}  // namespace millrace::common
