#include "engine/backend/cpu/caches.h"

#include <cstring>

namespace millrace::engine::cpu {

void StatePool::copy_slot(std::int64_t from, std::int64_t to) {
  if (from != to) std::memcpy(conv(0, to), conv(0, from), slot_bytes(shape_));
}

}  // namespace millrace::engine::cpu
