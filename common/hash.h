// Hashes that are the same on every machine and in every version, for names that are stored or compared across
// processes.
#pragma once

#include <cstdint>
#include <string_view>

namespace millrace::common {

// FNV-1a, 64 bit (http://www.isthe.com/chongo/tech/comp/fnv/). Not for keys that a stranger chooses.
constexpr std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

}  // namespace millrace::common
