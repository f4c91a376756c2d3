#include "engine/model/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/file.h"
#include "engine/model/config_reader.h"
#include "engine/model/rope.h"

namespace millrace::engine {
namespace {

using nlohmann::json;

// Far above any model of the family, low enough that no product of two sizes overflows.
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 22;
constexpr std::int64_t kMaxHeads = 4096;
constexpr std::int64_t kMaxLayers = 4096;
constexpr std::int64_t kMaxExperts = 65536;
constexpr std::int64_t kMaxPosition = std::int64_t{1} << 30;
constexpr const char* kArchitectures = "qwen3_5, qwen3_5_text, qwen3_5_moe, qwen3_5_moe_text or qwen2";

enum class Family { kQwen35, kQwen35Moe, kQwen2 };

Family family_of(const ConfigReader& reader) {
  const std::string type = reader.text_or("model_type", "");
  if (type == "qwen3_5" || type == "qwen3_5_text") return Family::kQwen35;
  if (type == "qwen3_5_moe" || type == "qwen3_5_moe_text") return Family::kQwen35Moe;
  if (type == "qwen2") return Family::kQwen2;
  reader.refuse("model_type", kArchitectures);
}

void refuse_what_is_not_supported(const ConfigReader& reader) {
  if (reader.has("quantization_config")) {
    reader.refuse("quantization_config", "no such key: only unquantised BF16, F16 and F32 checkpoints are supported");
  }
  const std::string activation = reader.text_or("hidden_act", "silu");
  if (activation != "silu") reader.refuse("hidden_act", "\"silu\"");
  const std::string gate = reader.text_or("output_gate_type", "swish");
  if (gate != "swish" && gate != "silu") reader.refuse("output_gate_type", "\"swish\"");
  if (reader.boolean_or("use_sliding_window", false)) reader.refuse("use_sliding_window", "false");
  if (reader.boolean_or("layer_scale", false)) reader.refuse("layer_scale", "false");
}

void read_attention(const ConfigReader& reader, Family family, ModelConfig& config) {
  config.q_heads = reader.integer("num_attention_heads", 1, kMaxHeads);
  config.kv_heads = reader.integer_or("num_key_value_heads", config.q_heads, 1, kMaxHeads);
  if (config.q_heads % config.kv_heads != 0) {
    reader.refuse("num_key_value_heads",
                  "a divisor of num_attention_heads, which is " + std::to_string(config.q_heads));
  }
  if (family == Family::kQwen2) {
    if (!reader.has("head_dim") && config.hidden % config.q_heads != 0) {
      reader.refuse("num_attention_heads", "a divisor of hidden_size, which is " + std::to_string(config.hidden));
    }
    config.head_dim = reader.integer_or("head_dim", config.hidden / config.q_heads, 2, kMaxWidth);
    config.qkv_bias = true;
    return;
  }
  config.head_dim = reader.integer_or("head_dim", 256, 2, kMaxWidth);
  config.qk_norm = true;
  config.output_gate = reader.boolean_or("attn_output_gate", true);
  if (reader.boolean_or("attention_bias", false)) reader.refuse("attention_bias", "false");
}

void read_delta(const ConfigReader& reader, ModelConfig& config) {
  config.gdn_key_heads = reader.integer("linear_num_key_heads", 1, kMaxHeads);
  config.gdn_value_heads = reader.integer("linear_num_value_heads", 1, kMaxHeads);
  if (config.gdn_value_heads % config.gdn_key_heads != 0) {
    reader.refuse("linear_num_value_heads",
                  "a multiple of linear_num_key_heads, which is " + std::to_string(config.gdn_key_heads));
  }
  config.gdn_key_dim = reader.integer_or("linear_key_head_dim", 128, 1, 4096);
  config.gdn_value_dim = reader.integer_or("linear_value_head_dim", 128, 1, 4096);
  config.conv_width = reader.integer_or("linear_conv_kernel_dim", 4, 2, 64);
}

void read_layer_types(const ConfigReader& reader, ModelConfig& config, std::int64_t num_layers) {
  const std::vector<std::string> types = reader.texts("layer_types");
  const std::string accepted = "a list of " + std::to_string(num_layers) + " strings (num_hidden_layers), each " +
                               "\"linear_attention\" or \"full_attention\"";
  if (static_cast<std::int64_t>(types.size()) != num_layers) reader.refuse("layer_types", accepted);
  for (const std::string& type : types) {
    if (type != "linear_attention" && type != "full_attention") reader.refuse("layer_types", accepted);
    config.layers.push_back(type == "full_attention" ? LayerKind::kFullAttention : LayerKind::kGatedDeltaNet);
  }
}

void read_layers(const ConfigReader& reader, Family family, ModelConfig& config) {
  const std::int64_t num_layers = reader.integer("num_hidden_layers", 1, kMaxLayers);
  if (reader.has("layer_types")) return read_layer_types(reader, config, num_layers);
  // Without a list: every n-th layer attends in Qwen3.5, every layer in qwen2.
  const std::int64_t interval =
      family == Family::kQwen2 ? 1 : reader.integer_or("full_attention_interval", 4, 1, kMaxLayers);
  for (std::int64_t i = 0; i < num_layers; ++i) {
    config.layers.push_back((i + 1) % interval == 0 ? LayerKind::kFullAttention : LayerKind::kGatedDeltaNet);
  }
}

void read_feed_forward(const ConfigReader& reader, Family family, ModelConfig& config) {
  if (family != Family::kQwen35Moe) {
    config.dense_intermediate = reader.integer("intermediate_size", 1, kMaxWidth);
    return;
  }
  config.moe.num_experts = reader.integer("num_experts", 1, kMaxExperts);
  config.moe.experts_per_token = reader.integer("num_experts_per_tok", 1, config.moe.num_experts);
  config.moe.intermediate = reader.integer("moe_intermediate_size", 1, kMaxWidth);
  config.moe.shared_intermediate = reader.integer_or("shared_expert_intermediate_size", 0, 0, kMaxWidth);
  if (!reader.boolean_or("norm_topk_prob", true)) reader.refuse("norm_topk_prob", "true");
  if (reader.has("mlp_only_layers") && !reader.integers("mlp_only_layers").empty()) {
    reader.refuse("mlp_only_layers", "an empty list");
  }
  reader.integer_or("decoder_sparse_step", 1, 1, 1);
}

double read_magnitude(const ConfigReader& rope, double factor) {
  if (rope.has("attention_factor")) return rope.positive("attention_factor");
  if (rope.has("mscale") && rope.has("mscale_all_dim")) {
    return yarn_magnitude(factor, rope.positive("mscale")) / yarn_magnitude(factor, rope.positive("mscale_all_dim"));
  }
  return yarn_magnitude(factor);
}

void read_yarn(const ConfigReader& rope, double theta, ModelConfig& config) {
  YarnScaling yarn;
  yarn.original_max_position =
      static_cast<double>(rope.integer_or("original_max_position_embeddings", config.max_position, 1, kMaxPosition));
  yarn.factor = rope.positive("factor");
  if (yarn.factor > 1024.0) rope.refuse("factor", "a number from 1 to 1024");
  yarn.beta_fast = rope.positive_or("beta_fast", 32.0);
  yarn.beta_slow = rope.positive_or("beta_slow", 1.0);
  yarn.truncate = rope.boolean_or("truncate", true);
  config.inv_freq = yarn_frequencies(theta, config.rotary_dim, yarn);
  config.rope_scale = static_cast<float>(read_magnitude(rope, yarn.factor));
  const auto extended = static_cast<std::int64_t>(yarn.factor * yarn.original_max_position);
  config.max_position = std::min(kMaxPosition, std::max(config.max_position, extended));
}

// Frequencies that follow time, height and width.
MropeSection read_sections(const ConfigReader& rope, Family family, const ModelConfig& config) {
  if (family == Family::kQwen2) return {};
  if (!rope.has("mrope_section")) return {11, 10};
  const std::vector<std::int64_t> sizes = rope.integers("mrope_section");
  std::int64_t sum = 0;
  bool in_range = sizes.size() == 3;
  for (const std::int64_t size : sizes) {
    in_range = in_range && size >= 0 && size <= config.rotary_dim;
    sum += in_range ? size : 0;
  }
  if (!in_range || sum != config.rotary_dim / 2) {
    rope.refuse("mrope_section",
                "three sizes that add up to half the rotary dimension, " + std::to_string(config.rotary_dim / 2));
  }
  return {static_cast<std::int32_t>(sizes[1]), static_cast<std::int32_t>(sizes[2])};
}

// Newer files keep everything in rope_parameters; older ones have rope_theta beside rope_scaling.
void read_rope(const ConfigReader& reader, Family family, ModelConfig& config) {
  const json empty = json::object();
  const bool newer = reader.has("rope_parameters");
  const ConfigReader rope = newer                        ? reader.object("rope_parameters")
                            : reader.has("rope_scaling") ? reader.object("rope_scaling")
                                                         : ConfigReader(empty, "");
  const ConfigReader& theta_reader = rope.has("rope_theta") ? rope : reader;
  const double theta = theta_reader.positive_or("rope_theta", family == Family::kQwen2 ? 1e6 : 1e7);
  if (theta <= 1.0) theta_reader.refuse("rope_theta", "a number above 1");

  const ConfigReader& part_reader = rope.has("partial_rotary_factor") ? rope : reader;
  const double part = part_reader.positive_or("partial_rotary_factor", family == Family::kQwen2 ? 1.0 : 0.25);
  config.rotary_dim = part > 1.0 ? 0 : static_cast<std::int64_t>(static_cast<double>(config.head_dim) * part);
  if (config.rotary_dim < 2 || config.rotary_dim % 2 != 0) {
    part_reader.refuse("partial_rotary_factor", "a number up to 1 that makes an even number of the " +
                                                    std::to_string(config.head_dim) + " channels of a head rotate");
  }
  config.mrope = read_sections(rope, family, config);

  const char* type_key = rope.has("rope_type") ? "rope_type" : "type";
  const std::string type = rope.text_or(type_key, "default");
  if (type == "yarn") return read_yarn(rope, theta, config);
  if (type != "default") rope.refuse(type_key, "\"default\" or \"yarn\"");
  config.inv_freq = rope_frequencies(theta, config.rotary_dim);
}

ModelConfig read_config(const ConfigReader& outer, const ConfigReader& text) {
  refuse_what_is_not_supported(outer);
  refuse_what_is_not_supported(text);
  ModelConfig config;
  const Family family = family_of(text.has("model_type") ? text : outer);
  const std::vector<std::string> names =
      outer.has("architectures") ? outer.texts("architectures") : std::vector<std::string>{};
  config.architecture = names.empty() ? outer.text_or("model_type", "") : names.front();
  config.zero_centred_norms = family != Family::kQwen2;
  config.hidden = text.integer("hidden_size", 1, kMaxWidth);
  config.vocab = text.integer("vocab_size", 1, std::int64_t{1} << 24);
  config.max_position = text.integer("max_position_embeddings", 1, kMaxPosition);
  config.norm_eps = static_cast<float>(text.positive_or("rms_norm_eps", 1e-6));
  config.tied_embeddings = text.boolean_or("tie_word_embeddings", outer.boolean_or("tie_word_embeddings", false));
  read_attention(text, family, config);
  read_layers(text, family, config);
  if (config.num_gdn_layers() > 0) {
    if (family == Family::kQwen2) text.refuse("layer_types", "\"full_attention\" for every layer of qwen2");
    read_delta(text, config);
  }
  read_feed_forward(text, family, config);
  read_rope(text, family, config);
  config.mtp_layers = family == Family::kQwen2 ? 0 : text.integer_or("mtp_num_hidden_layers", 0, 0, 16);
  return config;
}

}  // namespace

std::int64_t ModelConfig::num_attention_layers() const {
  return std::count(layers.begin(), layers.end(), LayerKind::kFullAttention);
}

std::int64_t ModelConfig::num_gdn_layers() const {
  return std::count(layers.begin(), layers.end(), LayerKind::kGatedDeltaNet);
}

ModelConfig parse_model_config(const std::string& text, const std::string& source_name) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) {
    throw common::Error(common::Code::kInvalidArgument, source_name + " is not a JSON object");
  }
  const ConfigReader outer(document, source_name + ": ");
  return read_config(outer, outer.has("text_config") ? outer.object("text_config") : outer);
}

ModelConfig load_model_config(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "config.json";
  return parse_model_config(common::read_file(path, "model configuration"), path.string());
}

}  // namespace millrace::engine
