#include "engine/runtime/block_manager.h"

#include <cassert>

namespace millrace::engine {

BlockManager::BlockManager(std::int64_t num_blocks, std::int64_t block_size)
    : num_blocks_(num_blocks), block_size_(block_size) {
  free_.reserve(static_cast<std::size_t>(num_blocks));
  for (std::int64_t block = num_blocks - 1; block >= 0; --block) free_.push_back(static_cast<BlockId>(block));
}

bool BlockManager::grow(std::vector<BlockId>& blocks, std::int64_t tokens) {
  const std::int64_t missing = blocks_for(tokens) - static_cast<std::int64_t>(blocks.size());
  if (missing > num_free()) return false;
  for (std::int64_t i = 0; i < missing; ++i) {
    blocks.push_back(free_.back());
    free_.pop_back();
  }
  return true;
}

void BlockManager::release(std::vector<BlockId>& blocks) {
  free_.insert(free_.end(), blocks.rbegin(), blocks.rend());
  blocks.clear();
  assert(num_free() <= num_blocks_);
}

}  // namespace millrace::engine
