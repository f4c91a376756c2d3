// The weights of one rank, as data. Widths are this rank's share; H is the hidden size.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/model/model.h"
#include "engine/model/weight_source.h"

namespace millrace::engine {

struct AttentionWeights {
  std::unique_ptr<PackedLinear> qkv;  // [q (per head: query, then gate when there is one) | k | v], from H
  DeviceTensor q_norm;                // F32 (1, head_dim), empty without
  DeviceTensor k_norm;                // F32 (1, head_dim), empty without
  std::unique_ptr<PackedLinear> out;  // (H, q_heads * head_dim)
};

struct DeltaWeights {
  std::unique_ptr<PackedLinear> in;   // [q | k | v | z | b | a], from H
  DeviceTensor conv;                  // F32 (conv_channels, conv_width)
  DeviceTensor decay;                 // F32 (1, value_heads), exp(A_log)
  DeviceTensor dt_bias;               // F32 (1, value_heads)
  DeviceTensor norm;                  // F32 (1, value_dim)
  std::unique_ptr<PackedLinear> out;  // (H, value_heads * value_dim)
};

struct MlpWeights {
  std::unique_ptr<PackedLinear> gate_up;  // [gate | up], from H
  std::unique_ptr<PackedLinear> down;     // (H, width)
};

struct MoeWeights {
  std::unique_ptr<PackedLinear> router;  // (experts, H), and one more row when there is a shared expert: its gate
  std::optional<MlpWeights> shared;
};

struct LayerWeights {
  DeviceTensor mixer_norm;                    // F32 (1, H); the 1 of zero-centred norms is in
  DeviceTensor ffn_norm;                      // F32 (1, H)
  std::optional<AttentionWeights> attention;  // either this
  std::optional<DeltaWeights> delta;          // or that
  std::optional<MlpWeights> mlp;              // either this
  std::optional<MoeWeights> moe;              // or that; the experts are in ExpertStore
};

struct ModelWeights {
  std::unique_ptr<PackedLinear> embed;  // (vocab_share, H): rows from rank * vocab_share, zero beyond the vocabulary
  std::unique_ptr<PackedLinear> head;   // as embed; null when tied
  DeviceTensor final_norm;              // F32 (1, H)
  DeviceTensor inv_freq;                // F32 (1, rotary_dim / 2)
  std::vector<LayerWeights> layers;
  std::size_t bytes = 0;

  const PackedLinear& output_head() const { return head ? *head : *embed; }
};

// Reads and packs everything but the experts. `on_tensor` is called once per tensor read.
ModelWeights load_weights(const WeightSource& source, const ModelConfig& config, const RankLayout& layout,
                          Backend& backend, const std::function<void()>& on_tensor);

}  // namespace millrace::engine
