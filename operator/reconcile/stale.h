// Writes that come too late: the object moved on since it was observed, and the next look will see how.
#pragma once

#include <utility>

#include "common/error.h"

namespace millrace::controller {

inline bool is_stale(const common::Error& error) {
  using common::Code;
  return error.code() == Code::kNotFound || error.code() == Code::kConflict || error.code() == Code::kAlreadyExists;
}

// False when `write` came too late. Throws every other error.
template <typename Write>
bool unless_stale(Write&& write) {
  try {
    std::forward<Write>(write)();
    return true;
  } catch (const common::Error& error) {
    if (!is_stale(error)) throw;
    return false;
  }
}

}  // namespace millrace::controller
