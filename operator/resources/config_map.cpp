#include "operator/resources/config_map.h"

#include "operator/api/labels.h"

namespace millrace::controller {

common::AgentConfig agent_config(const Spec& spec) {
  common::AgentConfig config;
  config.served_model_name = spec.model.name;
  config.port = static_cast<std::uint16_t>(spec.endpoint.port);
  config.backend = spec.devices.is_cpu() ? "cpu" : "auto";
  config.threads = static_cast<std::int32_t>(spec.engine.threads.value_or(config.threads));
  config.max_model_len = spec.engine.max_model_len.value_or(config.max_model_len);
  config.max_num_seqs = static_cast<std::int32_t>(spec.engine.max_num_seqs.value_or(config.max_num_seqs));
  config.max_num_batched_tokens = spec.engine.max_num_batched_tokens.value_or(
      std::max<std::int64_t>(config.max_num_batched_tokens, config.max_num_seqs));
  config.max_queued_requests =
      static_cast<std::int32_t>(spec.engine.max_queued_requests.value_or(config.max_queued_requests));
  config.cache_bytes = spec.engine.memory_bytes.value_or(config.cache_bytes);
  if (spec.experts) config.redundant_expert_slots = spec.experts->redundant_slots_per_rank;
  config.drain_timeout_seconds = spec.drain_timeout_seconds;
  return config;
}

kube::Object build_config_map(const Parent& parent) {
  kube::Object map = new_child(parent, kube::kConfigMap, config_map_name(parent));
  map.json()["metadata"]["labels"][kRevisionLabel] = parent.revision;
  map.json()["data"] = {{kAgentConfigFile, Json(agent_config(parent.spec)).dump(2)}};
  return map;
}

}  // namespace millrace::controller
