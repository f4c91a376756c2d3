// The paged KV cache and the Gated DeltaNet state pool in host memory. All F32: the reference keeps fp32 in both when
// it runs in fp32, and on a CPU the weights, not the caches, are what a decode step waits for.
#pragma once

#include <cstdint>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/memory.h"

namespace millrace::engine::cpu {

// Per layer, block and KV head: keys (block_size, head_dim), then values (block_size, head_dim).
class PagedKv final : public KvCache {
 public:
  explicit PagedKv(const KvCacheShape& shape)
      : shape_(shape), memory_(block_bytes(shape) * static_cast<std::size_t>(shape.blocks)) {}

  const KvCacheShape& shape() const override { return shape_; }

  float* keys(std::int64_t layer, std::int64_t block, std::int64_t kv_head) const {
    std::int64_t index = (layer * shape_.blocks + block) * shape_.kv_heads + kv_head;
    return reinterpret_cast<float*>(memory_.data()) + index * 2 * shape_.block_size * shape_.head_dim;
  }
  float* values(std::int64_t layer, std::int64_t block, std::int64_t kv_head) const {
    return keys(layer, block, kv_head) + shape_.block_size * shape_.head_dim;
  }

  static std::size_t block_bytes(const KvCacheShape& s) {
    return static_cast<std::size_t>(s.layers * s.kv_heads * 2 * s.block_size * s.head_dim) * sizeof(float);
  }

 private:
  KvCacheShape shape_;
  Buffer memory_;
};

// Per slot, so that a snapshot is one copy: for each layer the conv state (conv_width - 1, conv_channels), oldest
// first, then the recurrent state (value_heads, key_dim, value_dim).
class StatePool final : public StateCache {
 public:
  explicit StatePool(const StateCacheShape& shape)
      : shape_(shape), memory_(slot_bytes(shape) * static_cast<std::size_t>(shape.slots)) {}

  const StateCacheShape& shape() const override { return shape_; }

  float* conv(std::int64_t layer, std::int64_t slot) const {
    auto* base = reinterpret_cast<float*>(memory_.data());
    return base + (slot * shape_.layers + layer) * layer_floats(shape_);
  }
  float* recurrent(std::int64_t layer, std::int64_t slot, std::int64_t value_head) const {
    const DeltaShape& d = shape_.delta;
    return conv(layer, slot) + conv_floats(shape_) + value_head * d.key_dim * d.value_dim;
  }
  void copy_slot(std::int64_t from, std::int64_t to);

  static std::size_t slot_bytes(const StateCacheShape& s) {
    return static_cast<std::size_t>(s.layers * layer_floats(s)) * sizeof(float);
  }

 private:
  static std::int64_t conv_floats(const StateCacheShape& s) {
    return (s.delta.conv_width - 1) * s.delta.conv_channels();
  }
  static std::int64_t layer_floats(const StateCacheShape& s) {
    return conv_floats(s) + s.delta.value_heads * s.delta.key_dim * s.delta.value_dim;
  }

  StateCacheShape shape_;
  Buffer memory_;
};

}  // namespace millrace::engine::cpu
