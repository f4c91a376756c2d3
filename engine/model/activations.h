// The decoder's buffers, allocated once for the largest step; every use is a dense view of the first rows.
#pragma once

#include "engine/model/model.h"

namespace millrace::engine {

// Memory for a matrix of at most `rows` x `cols`, whatever its shape in one use.
class Buffer {
 public:
  Buffer(Backend& backend, std::int64_t rows, std::int64_t cols, DType dtype = DType::kF32)
      : memory_(backend.allocate(rows, cols, dtype)) {}

  Tensor view(std::int64_t rows, std::int64_t cols) const {
    return {memory_.view.data, memory_.view.dtype, rows, cols, cols};
  }

 private:
  DeviceTensor memory_;
};

struct Activations {
  Activations(Backend& backend, const ModelConfig& config, const ModelOptions& options);

  Buffer residual;        // (tokens, hidden)
  Buffer normed;          // (tokens, hidden)
  Buffer delta;           // (tokens, hidden): what a mixer or a feed-forward adds
  Buffer shared;          // (tokens, hidden): output of the shared expert
  Buffer wide;            // (tokens, widest fused projection)
  Buffer inner;           // (tokens, widest input of an output projection, or conv channels)
  Buffer core;            // (tokens, value_heads * value_dim)
  Buffer router;          // (tokens, experts + 1)
  Buffer expert_ids;      // I32 (tokens, experts per token)
  Buffer expert_weights;  // (tokens, experts per token)
  Buffer logit_hidden;    // (logit rows, hidden)
  Buffer logits;          // (logit rows, vocab_share)
  Buffer all_logits;      // (logit rows, size * vocab_share); rank 0 of several
};

// Widths of this rank.
AttentionShape attention_shape(const ModelConfig& config, int size);
DeltaShape delta_shape(const ModelConfig& config, int size);

}  // namespace millrace::engine
