#include "engine/text/added_tokens.h"

namespace millrace::engine {

void AddedTokenMatcher::add(std::string_view content, TokenId id) {
  std::uint32_t node = 0;
  for (const char c : content) {
    const auto [child, is_new] =
        nodes_[node].children.try_emplace(static_cast<unsigned char>(c), static_cast<std::uint32_t>(nodes_.size()));
    node = child->second;
    if (is_new) nodes_.emplace_back();
  }
  nodes_[node].id = id;
  starts_[static_cast<unsigned char>(content.front())] = true;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text, std::size_t from) const {
  for (std::size_t i = from; i < text.size(); ++i) {
    if (!starts_[static_cast<unsigned char>(text[i])]) continue;
    std::size_t end = i;
    const TokenId id = longest_at(text, i, end);
    if (id >= 0) return Match{i, end, id};
  }
  return std::nullopt;
}

TokenId AddedTokenMatcher::longest_at(std::string_view text, std::size_t begin, std::size_t& end) const {
  TokenId found = -1;
  std::uint32_t node = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const auto child = nodes_[node].children.find(static_cast<unsigned char>(text[i]));
    if (child == nodes_[node].children.end()) break;
    node = child->second;
    if (nodes_[node].id >= 0) {
      found = nodes_[node].id;
      end = i + 1;
    }
  }
  return found;
}

}  // namespace millrace::engine
