// The tokens of a vocabulary by id and by spelling.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/text/tokenizer_json.h"

namespace millrace::engine {

// Read-only after construction, hence thread-safe. Refers to the strings of the spec, which must outlive it.
class TokenTable {
 public:
  // Throws kInvalidArgument if two tokens claim one id or one token two ids.
  explicit TokenTable(const TokenizerSpec& spec);
  TokenTable(const TokenTable&) = delete;
  TokenTable& operator=(const TokenTable&) = delete;

  std::int32_t size() const { return static_cast<std::int32_t>(tokens_.size()); }
  bool has(TokenId id) const { return id >= 0 && id < size() && token(id).used; }
  bool is_special(TokenId id) const { return has(id) && token(id).special; }
  std::string_view bytes(TokenId id) const;
  std::string_view spelling(TokenId id) const { return has(id) ? token(id).spelling : std::string_view(); }
  std::optional<TokenId> find(std::string_view spelling) const;

 private:
  struct Token {
    std::string_view spelling;
    std::uint32_t offset = 0, length = 0;  // in bytes_
    bool used = false;
    bool special = false;
  };
  const Token& token(TokenId id) const { return tokens_[static_cast<std::size_t>(id)]; }
  void add_base(std::string_view spelling, TokenId id);
  void add_added(const AddedToken& added);
  Token& claim(std::string_view spelling, TokenId id);

  std::vector<Token> tokens_;
  std::string bytes_;
  std::unordered_map<std::string_view, TokenId> ids_;
};

}  // namespace millrace::engine
