// The agent's configuration file: written by the operator into a ConfigMap (agent.json), read by the agent (--config).
// What differs between the pods of a deployment, and paths, are command-line flags instead:
//   --model DIR  --admin-token-file FILE  --api-key-file FILE (optional)  --pod-index N  --bind ADDRESS
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace millrace::common {

inline constexpr std::uint16_t kDefaultPort = 8000;       // OpenAI API
inline constexpr std::uint16_t kDefaultAdminPort = 8001;  // AgentApi
inline constexpr std::uint16_t kDefaultGroupPort = 8100;  // first port of the ranks' own connections: + local rank

struct AgentConfig {
  std::string served_model_name;
  std::uint16_t port = kDefaultPort;
  std::uint16_t admin_port = kDefaultAdminPort;
  std::uint16_t group_port = kDefaultGroupPort;
  std::string backend = "auto";
  std::int32_t threads = 0;
  std::int64_t max_model_len = 0;
  std::int32_t max_num_seqs = 32;
  std::int64_t max_num_batched_tokens = 512;
  std::int32_t max_queued_requests = 256;
  std::int64_t cache_bytes = std::int64_t{512} << 20;
  std::int32_t redundant_expert_slots = 0;
  std::int32_t drain_timeout_seconds = 300;
  bool open_metrics = false;  // /metrics needs no admin token; where a NetworkPolicy or the like guards the port
  std::vector<std::string> cors_origins;  // web pages that may call the API: origins, or "*"; empty: none
};

void to_json(nlohmann::json& json, const AgentConfig& value);
// Unknown keys and values out of range throw Error{kInvalidArgument} naming the key.
void from_json(const nlohmann::json& json, AgentConfig& value);

}  // namespace millrace::common
