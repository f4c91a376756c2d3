#include "engine/runtime/state_pool.h"

#include <cassert>

namespace millrace::engine {

StatePool::StatePool(std::int64_t num_slots) : num_slots_(num_slots) {
  for (std::int64_t slot = num_slots - 1; slot >= 0; --slot) free_.push_back(static_cast<StateSlot>(slot));
}

std::optional<StateSlot> StatePool::allocate() {
  if (free_.empty()) return std::nullopt;
  const StateSlot slot = free_.back();
  free_.pop_back();
  return slot;
}

void StatePool::release(StateSlot slot) {
  free_.push_back(slot);
  assert(static_cast<std::int64_t>(free_.size()) <= num_slots_);
}

}  // namespace millrace::engine
