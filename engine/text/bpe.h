// Byte-pair merging: a word's bytes become the ids the merge rules lead to.
//
// A rule is a pair of ids; the applicable rule of lowest rank is applied, leftmost first, until none applies. Whole
// words are never looked up in the vocabulary, so entries no rule produces are never emitted.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/types.h"

namespace millrace::engine {

struct MergeRule {
  TokenId left, right, merged;  // rank is the index in the list
};

// (left, right) -> (rank, merged id): an open-addressing table, because start-up and encoding live in it.
class MergeTable {
 public:
  struct Entry {
    TokenId left = -1, right = -1;
    std::int32_t rank = 0;
    TokenId merged = -1;
  };

  // Where a pair has several rules the last one counts.
  explicit MergeTable(const std::vector<MergeRule>& rules);
  // Null when no rule joins the pair.
  const Entry* find(TokenId left, TokenId right) const;

 private:
  std::size_t slot(TokenId left, TokenId right) const;
  std::vector<Entry> slots_;  // a power of two, at most half full; left < 0 is free
};

class Bpe {
 public:
  Bpe(const std::array<TokenId, 256>& byte_ids, const std::vector<MergeRule>& rules)
      : byte_ids_(byte_ids), merges_(rules) {}

  // Appends the ids of one word. O(n log n) in its length. Thread-safe.
  void encode(std::string_view word, std::vector<TokenId>& out) const;

 private:
  std::array<TokenId, 256> byte_ids_;
  MergeTable merges_;
};

}  // namespace millrace::engine
