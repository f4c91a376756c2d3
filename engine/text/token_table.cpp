#include "engine/text/token_table.h"

#include <algorithm>

#include "common/error.h"
#include "engine/text/byte_alphabet.h"

namespace millrace::engine {

TokenTable::TokenTable(const TokenizerSpec& spec) {
  TokenId last = -1;
  for (const VocabularyEntry& entry : spec.vocabulary) last = std::max(last, entry.id);
  for (const AddedToken& added : spec.added) last = std::max(last, added.id);
  tokens_.resize(static_cast<std::size_t>(last) + 1);
  ids_.reserve(spec.vocabulary.size() + spec.added.size());
  bytes_.reserve(spec.strings.size());
  for (const VocabularyEntry& entry : spec.vocabulary) add_base(spec.text(entry.spelling), entry.id);
  for (const AddedToken& added : spec.added) add_added(added);
}

std::string_view TokenTable::bytes(TokenId id) const {
  if (!has(id)) return {};
  return std::string_view(bytes_).substr(token(id).offset, token(id).length);
}

std::optional<TokenId> TokenTable::find(std::string_view spelling) const {
  const auto it = ids_.find(spelling);
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

TokenTable::Token& TokenTable::claim(std::string_view spelling, TokenId id) {
  Token& token = tokens_[static_cast<std::size_t>(id)];
  if (token.used && token.spelling != spelling) {
    throw common::Error(common::Code::kInvalidArgument, "tokenizer.json: id " + std::to_string(id) +
                                                            " is given to both \"" + std::string(token.spelling) +
                                                            "\" and \"" + std::string(spelling) + "\"");
  }
  const auto [known, is_new] = ids_.try_emplace(spelling, id);
  if (!is_new && known->second != id) {
    throw common::Error(common::Code::kInvalidArgument, "tokenizer.json: \"" + std::string(spelling) +
                                                            "\" has both id " + std::to_string(known->second) +
                                                            " and id " + std::to_string(id));
  }
  token.spelling = known->first;
  token.used = true;
  return token;
}

void TokenTable::add_base(std::string_view spelling, TokenId id) {
  Token& token = claim(spelling, id);
  const std::string bytes = bytes_of_spelling(spelling).value_or(std::string(spelling));
  token.offset = static_cast<std::uint32_t>(bytes_.size());
  token.length = static_cast<std::uint32_t>(bytes.size());
  bytes_ += bytes;
}

// An added token stands for its literal text, also where the vocabulary lists it too.
void TokenTable::add_added(const AddedToken& added) {
  Token& token = claim(added.content, added.id);
  token.special = added.special;
  token.offset = static_cast<std::uint32_t>(bytes_.size());
  token.length = static_cast<std::uint32_t>(added.content.size());
  bytes_ += added.content;
}

}  // namespace millrace::engine
