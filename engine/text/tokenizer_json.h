// Reads a checkpoint's tokenizer files into plain data. Vocabulary and merges, which are nearly all of the 12 MB, are
// streamed into flat arrays; the small rest becomes a JSON document whose fields are checked one by one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tokenizer.h"

namespace millrace::engine {

struct AddedToken {
  std::string content;
  TokenId id = -1;
  bool special = false;
};

// A string in TokenizerSpec::strings.
struct Spelling {
  std::uint32_t offset = 0, length = 0;
};

struct VocabularyEntry {
  Spelling spelling;
  TokenId id = -1;
};

struct TokenizerSpec {
  std::string strings;  // the characters of all spellings
  std::vector<VocabularyEntry> vocabulary;
  std::vector<std::pair<Spelling, Spelling>> merges;            // by rank
  std::vector<AddedToken> added;                                // of both files, sorted by id
  std::vector<std::pair<std::string, std::string>> eos_tokens;  // file and field, token text
  std::vector<TokenId> eos_ids;
  std::string split_pattern;
  bool nfc = false;

  std::string_view text(Spelling s) const { return std::string_view(strings).substr(s.offset, s.length); }
};

// Larger ids are refused, so that a hostile file cannot ask for gigabytes.
inline constexpr std::int64_t kMaxTokenId = (1 << 24) - 1;

// Throws kInvalidArgument; the message names file and field.
TokenizerSpec read_tokenizer_files(const TokenizerFiles& files);

}  // namespace millrace::engine
