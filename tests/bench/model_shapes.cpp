#include "tests/bench/model_shapes.h"

#include <cmath>

namespace millrace::bench {
namespace {

using engine::LayerKind;
using engine::ModelConfig;

ModelConfig family_member(std::int64_t layers) {
  ModelConfig config;
  config.architecture = "Qwen3_5ForConditionalGeneration";
  config.vocab = 248320;
  config.max_position = 262144;
  for (std::int64_t i = 0; i < layers; ++i) {
    config.layers.push_back(i % 4 == 3 ? LayerKind::kFullAttention : LayerKind::kGatedDeltaNet);
  }
  config.head_dim = 256;
  config.rotary_dim = 64;
  config.output_gate = true;
  config.qk_norm = true;
  for (int j = 0; j < 32; ++j) config.inv_freq.push_back(std::pow(1e7F, -static_cast<float>(j) / 32.0F));
  config.gdn_key_heads = 16;
  config.gdn_key_dim = 128;
  config.gdn_value_dim = 128;
  config.conv_width = 4;
  return config;
}

double attention_weights(const ModelConfig& c) {
  const std::int64_t q = c.q_heads * c.head_dim;
  return static_cast<double>(c.hidden * (3 * q + 2 * c.kv_heads * c.head_dim));  // query, gate, out; key, value
}

double delta_weights(const ModelConfig& c) {
  const std::int64_t keys = c.gdn_key_heads * c.gdn_key_dim;
  const std::int64_t values = c.gdn_value_heads * c.gdn_value_dim;
  return static_cast<double>(c.hidden * (2 * keys + 3 * values + 2 * c.gdn_value_heads));
}

double ffn_weights(const ModelConfig& c) {
  if (!c.is_moe()) return static_cast<double>(3 * c.hidden * c.dense_intermediate);
  const std::int64_t width = c.moe.experts_per_token * c.moe.intermediate + c.moe.shared_intermediate;
  return static_cast<double>(c.hidden * (3 * width + c.moe.num_experts + 1));
}

}  // namespace

ModelConfig dense_0_8b() {
  ModelConfig config = family_member(24);
  config.hidden = 1024;
  config.tied_embeddings = true;
  config.q_heads = 8;
  config.kv_heads = 2;
  config.gdn_value_heads = 16;
  config.dense_intermediate = 3584;
  return config;
}

ModelConfig moe_35b_4_layers() {
  ModelConfig config = family_member(4);
  config.architecture = "Qwen3_5MoeForConditionalGeneration";
  config.hidden = 2048;
  config.q_heads = 16;
  config.kv_heads = 2;
  config.gdn_value_heads = 32;
  config.moe = {256, 8, 512, 512};
  return config;
}

TokenCost token_cost(const ModelConfig& config) {
  TokenCost cost;
  for (LayerKind kind : config.layers) {
    cost.linear_fma += kind == LayerKind::kFullAttention ? attention_weights(config) : delta_weights(config);
    cost.linear_fma += ffn_weights(config);
  }
  cost.head_fma = static_cast<double>(config.hidden * config.vocab);
  cost.weight_bytes = 2.0 * (cost.linear_fma + cost.head_fma);
  return cost;
}

}  // namespace millrace::bench
