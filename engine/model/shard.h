// Which part of every tensor a rank holds. Pure functions of the configuration and the layout; the only place where the
// division is decided.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/model/model.h"
#include "engine/model/tensors.h"

namespace millrace::engine {

struct Range {
  std::int64_t begin = 0;
  std::int64_t count = 0;
  bool operator==(const Range&) const = default;
};

// Rows (in the order in which the rank stacks them) and columns of the tensor as a matrix.
struct Shard {
  std::vector<Range> rows;
  Range columns;
};

// `experts`: the logical experts that this rank holds in the tensor's layer; only fused expert tensors look at it.
Shard shard_of(const TensorSpec& spec, const ModelConfig& config, const RankLayout& layout,
               std::span<const std::int32_t> experts);

// Rows of the embedding and of the head that every rank makes room for: ceil(vocab / size). The last ranks may hold
// fewer real ones.
std::int64_t vocab_share(const ModelConfig& config, int size);

// This rank's channels of an expert's width.
Range expert_width(const ModelConfig& config, const RankLayout& layout);

// KV heads of this rank, at least one.
std::int64_t local_kv_heads(const ModelConfig& config, int size);

// The distinct experts of `ep_rank` in a layer's placement, ascending.
std::vector<std::int32_t> experts_of_rank(const ExpertPlacement& placement, std::int64_t layer, int ep_rank);

}  // namespace millrace::engine
