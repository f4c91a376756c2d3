// What a fuzz target does when a property does not hold.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace millrace::fuzz {

inline void check(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "property violated: %s\n", property);
  std::abort();
}

}  // namespace millrace::fuzz
