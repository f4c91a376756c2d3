#include "common/agent_config.h"

#include "common/error.h"
#include "common/json_fields.h"

namespace millrace::common {
namespace {

std::vector<std::string> read_origins(JsonFields& fields) {
  std::vector<std::string> origins;
  const nlohmann::json* list = fields.array("cors_origins");
  if (list == nullptr) return origins;
  for (const nlohmann::json& item : *list) {
    const std::string origin = item.is_string() ? item.get<std::string>() : "";
    if (origin != "*" && (origin.find("://") == std::string::npos || origin.ends_with('/'))) {
      throw Error(Code::kInvalidArgument, fields.name("cors_origins") + " has the item " + item.dump() +
                                              "; expected origins such as \"https://chat.example.com\", or \"*\"");
    }
    origins.push_back(origin);
  }
  return origins;
}

}  // namespace

void to_json(nlohmann::json& json, const AgentConfig& value) {
  json = {{"served_model_name", value.served_model_name},
          {"port", value.port},
          {"admin_port", value.admin_port},
          {"group_port", value.group_port},
          {"backend", value.backend},
          {"threads", value.threads},
          {"max_model_len", value.max_model_len},
          {"max_num_seqs", value.max_num_seqs},
          {"max_num_batched_tokens", value.max_num_batched_tokens},
          {"max_queued_requests", value.max_queued_requests},
          {"cache_bytes", value.cache_bytes},
          {"redundant_expert_slots", value.redundant_expert_slots},
          {"drain_timeout_seconds", value.drain_timeout_seconds}};
  // Agents refuse keys that they do not know; those of an earlier version know these not.
  if (value.open_metrics) json["open_metrics"] = true;
  if (!value.cors_origins.empty()) json["cors_origins"] = value.cors_origins;
}

void from_json(const nlohmann::json& json, AgentConfig& value) {
  AgentConfig read;
  JsonFields fields(json, "");
  fields.read("served_model_name", read.served_model_name)
      .read("port", read.port, 0)  // 0: the system chooses, for tests
      .read("admin_port", read.admin_port, 0)
      .read("group_port", read.group_port, 1)
      .read("backend", read.backend)
      .read("threads", read.threads, 0, 4096)
      .read("max_model_len", read.max_model_len, 0)
      .read("max_num_seqs", read.max_num_seqs, 1, 65536)
      .read("max_num_batched_tokens", read.max_num_batched_tokens, 1)
      .read("max_queued_requests", read.max_queued_requests, 0)
      .read("cache_bytes", read.cache_bytes, std::int64_t{1} << 20)
      .read("redundant_expert_slots", read.redundant_expert_slots, 0, 1024)
      .read("drain_timeout_seconds", read.drain_timeout_seconds, 0, 86400)
      .read("open_metrics", read.open_metrics);
  read.cors_origins = read_origins(fields);
  fields.no_others();
  value = read;
}

}  // namespace millrace::common
