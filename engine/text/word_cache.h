// Remembers the ids of short words that were encoded before. A fixed number of slots, each the last word that hashed to
// it; so the size is bounded and nothing is ever evicted by scanning.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/types.h"

namespace millrace::engine {

// Thread-safe.
class WordCache {
 public:
  static constexpr std::size_t kSlots = 16384;
  static constexpr std::size_t kMaxWordBytes = 64;

  WordCache() : slots_(kSlots) {}

  // Appends the remembered ids; false if the word is not there.
  bool find(std::string_view word, std::vector<TokenId>& out) const;
  void put(std::string_view word, const TokenId* begin, const TokenId* end);

 private:
  static constexpr std::size_t kLocks = 64;
  struct Slot {
    std::string word;
    std::vector<TokenId> ids;
  };
  std::vector<Slot> slots_;
  mutable std::array<std::mutex, kLocks> locks_;  // slot i belongs to lock i % kLocks
};

}  // namespace millrace::engine
