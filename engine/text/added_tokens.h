// Finds added tokens ("<|im_end|>", "<think>") in text: leftmost, and of those that start there the longest.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/types.h"

namespace millrace::engine {

class AddedTokenMatcher {
 public:
  struct Match {
    std::size_t begin, end;  // bytes
    TokenId id;
  };

  // content must not be empty.
  void add(std::string_view content, TokenId id);

  // The first match at or after `from`. Thread-safe.
  std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  struct Node {
    std::map<unsigned char, std::uint32_t> children;
    TokenId id = -1;
  };
  TokenId longest_at(std::string_view text, std::size_t begin, std::size_t& end) const;

  std::vector<Node> nodes_{1};  // a trie over bytes; 0 is the root
  std::array<bool, 256> starts_{};
};

}  // namespace millrace::engine
