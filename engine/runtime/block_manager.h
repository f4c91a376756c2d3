// The pool of KV cache blocks. Holds no tensors: blocks are numbers. Engine thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/types.h"

namespace millrace::engine {

class BlockManager {
 public:
  BlockManager(std::int64_t num_blocks, std::int64_t block_size);

  std::int64_t block_size() const { return block_size_; }
  std::int64_t num_blocks() const { return num_blocks_; }
  std::int64_t num_free() const { return static_cast<std::int64_t>(free_.size()); }
  std::int64_t num_used() const { return num_blocks_ - num_free(); }
  std::int64_t blocks_for(std::int64_t tokens) const { return (tokens + block_size_ - 1) / block_size_; }

  // Grows `blocks` until it covers `tokens`. False, and nothing changed, when the pool has too few: the caller preempts
  // or waits.
  bool grow(std::vector<BlockId>& blocks, std::int64_t tokens);
  // Gives all of `blocks` back and empties it.
  void release(std::vector<BlockId>& blocks);

 private:
  std::int64_t num_blocks_;
  std::int64_t block_size_;
  std::vector<BlockId> free_;  // a stack: the last one given back is used first
};

}  // namespace millrace::engine
