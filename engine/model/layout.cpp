// Which numbers of ranks a model can be divided over.
#include <string>

#include "engine/model/model.h"

namespace millrace::engine {
namespace {

constexpr int kLargestSuggestion = 64;

std::string indivisible(const char* what, std::int64_t count, const char* by, int parts) {
  if (count % parts == 0) return "";
  return std::to_string(count) + " " + what + " cannot be divided by " + by + " " + std::to_string(parts);
}

std::string check_heads(const ModelConfig& config, int size) {
  std::string fault;
  if (config.num_attention_layers() > 0) {
    fault = indivisible("query heads", config.q_heads, "size", size);
    const bool kv_fits = config.kv_heads % size == 0 || size % config.kv_heads == 0;
    if (fault.empty() && !kv_fits) {
      fault = "size " + std::to_string(size) + " is neither a divisor nor a multiple of " +
              std::to_string(config.kv_heads) + " KV heads";
    }
  }
  if (fault.empty() && config.num_gdn_layers() > 0) {
    fault = indivisible("Gated DeltaNet key heads", config.gdn_key_heads, "size", size);
  }
  return fault;
}

std::string check_widths(const ModelConfig& config, int size, int expert_parallel) {
  if (!config.is_moe()) return indivisible("intermediate channels", config.dense_intermediate, "size", size);
  std::string fault = indivisible("channels of the shared expert", config.moe.shared_intermediate, "size", size);
  if (fault.empty()) {
    fault =
        indivisible("channels of an expert", config.moe.intermediate, "size / expert_parallel", size / expert_parallel);
  }
  return fault;
}

std::string check_layout(const ModelConfig& config, int size, int expert_parallel) {
  std::string fault = check_heads(config, size);
  if (fault.empty()) fault = check_widths(config, size, expert_parallel);
  return fault;
}

std::string working_sizes(const ModelConfig& config) {
  std::string list;
  for (int size = 1; size <= kLargestSuggestion; ++size) {
    bool works = false;
    for (int ep = 1; ep <= size && !works; ++ep) {
      const bool possible = size % ep == 0 && (ep == 1 || (config.is_moe() && ep <= config.moe.num_experts));
      works = possible && check_layout(config, size, ep).empty();
    }
    if (works) list += (list.empty() ? "" : ", ") + std::to_string(size);
  }
  return list;
}

std::string working_expert_parallel(const ModelConfig& config, int size) {
  std::string list;
  for (int ep = 1; ep <= size && ep <= config.moe.num_experts; ++ep) {
    if (size % ep == 0 && check_layout(config, size, ep).empty())
      list += (list.empty() ? "" : ", ") + std::to_string(ep);
  }
  return list;
}

}  // namespace

std::string validate_layout(const ModelConfig& config, int size, int expert_parallel) {
  if (size < 1) return "size is " + std::to_string(size) + "; sizes that work: " + working_sizes(config);
  const std::string given = "expert_parallel is " + std::to_string(expert_parallel);
  if (!config.is_moe() && expert_parallel != 1) return given + ", but the model has no experts; use 1";
  const std::string fault = check_heads(config, size);
  if (!fault.empty()) return fault + "; sizes that work: " + working_sizes(config);
  const bool divides = expert_parallel >= 1 && size % expert_parallel == 0 &&
                       (expert_parallel == 1 || expert_parallel <= config.moe.num_experts);
  const std::string width_fault =
      divides ? check_widths(config, size, expert_parallel)
              : given + ", which does not divide size " + std::to_string(size) + " or exceeds the number of experts";
  if (width_fault.empty()) return "";
  const std::string others = config.is_moe() ? working_expert_parallel(config, size) : "";
  if (others.empty()) return width_fault + "; sizes that work: " + working_sizes(config);
  return width_fault + "; expert_parallel that works with size " + std::to_string(size) + ": " + others;
}

}  // namespace millrace::engine
