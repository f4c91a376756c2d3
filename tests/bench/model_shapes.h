// The two shapes that the speed floor is stated for, with what a token costs in them.
#pragma once

#include "engine/model/config.h"

namespace millrace::bench {

engine::ModelConfig dense_0_8b();        // 24 layers, tied embeddings
engine::ModelConfig moe_35b_4_layers();  // 3 Gated DeltaNet layers and 1 of full attention, 256 experts, 8 per token

struct TokenCost {
  double linear_fma = 0.0;    // multiply-adds in the layers' matrices, per token
  double head_fma = 0.0;      // in the output head, per row of logits
  double weight_bytes = 0.0;  // BF16 weights read for one decoded token, head included
};
TokenCost token_cost(const engine::ModelConfig& config);

}  // namespace millrace::bench
