// A model as data: families differ by the fields below, not by classes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/backend/mrope.h"

namespace millrace::engine {

enum class LayerKind : std::uint8_t { kFullAttention, kGatedDeltaNet };

struct MoeConfig {
  std::int64_t num_experts = 0;  // 0: dense
  std::int64_t experts_per_token = 0;
  std::int64_t intermediate = 0;         // of one expert
  std::int64_t shared_intermediate = 0;  // 0: no shared expert
};

struct ModelConfig {
  std::string architecture;  // as config.json names it, for logs and errors
  std::int64_t hidden = 0;
  std::int64_t vocab = 0;  // rows of the embedding, padding included
  std::int64_t max_position = 0;
  std::vector<LayerKind> layers;
  float norm_eps = 1e-6F;
  bool zero_centred_norms = true;  // the stored weight is w of (1 + w)
  bool tied_embeddings = false;

  // Full attention.
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t rotary_dim = 0;
  bool output_gate = false;
  bool qk_norm = false;
  bool qkv_bias = false;
  std::vector<float> inv_freq;  // (rotary_dim / 2), rope scaling already applied
  float rope_scale = 1.0F;      // YaRN: factor on cos and sin; 1 otherwise
  MropeSection mrope;           // of Qwen3.5; text does not see it

  // Gated DeltaNet; zero when no layer uses it.
  std::int64_t gdn_key_heads = 0;
  std::int64_t gdn_value_heads = 0;
  std::int64_t gdn_key_dim = 0;
  std::int64_t gdn_value_dim = 0;
  std::int64_t conv_width = 0;

  std::int64_t dense_intermediate = 0;
  MoeConfig moe;
  std::int64_t mtp_layers = 0;

  bool is_moe() const { return moe.num_experts > 0; }
  std::int64_t num_layers() const { return static_cast<std::int64_t>(layers.size()); }
  std::int64_t num_attention_layers() const;
  std::int64_t num_gdn_layers() const;
};

// Reads `directory`/config.json. Throws kNotFound, or kInvalidArgument naming the key, its value and what is accepted
// (impossible heads, unknown architecture, quantisation that is not supported).
ModelConfig load_model_config(const std::filesystem::path& directory);
ModelConfig parse_model_config(const std::string& json, const std::string& source_name);

}  // namespace millrace::engine
