// The pool of Gated DeltaNet state slots. Engine thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/types.h"

namespace millrace::engine {

class StatePool {
 public:
  explicit StatePool(std::int64_t num_slots);

  std::int64_t num_slots() const { return num_slots_; }
  std::int64_t num_used() const { return num_slots_ - static_cast<std::int64_t>(free_.size()); }

  // Empty when the pool is full; the caller waits. A slot needs no clearing: a sequence without context starts from
  // zero state.
  std::optional<StateSlot> allocate();
  void release(StateSlot slot);

 private:
  std::int64_t num_slots_;
  std::vector<StateSlot> free_;
};

}  // namespace millrace::engine
