// Text to token ids and back: byte-level BPE as described by a checkpoint's tokenizer.json.
//
// Encoding: cut at added tokens (leftmost, longest), normalise (NFC), split by the file's pattern, merge bytes by rank.
// No BOS or EOS is ever added. Invalid UTF-8 in the input is read as U+FFFD.
//
// Threads: every const method may be called from any number of threads at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/types.h"

namespace millrace::engine {

// A stretch of prompt text and whether control tokens may be read from it. The template's own text is trusted; what
// users, tools and earlier answers wrote is not, so a typed "<|im_end|>" stays ordinary text.
struct TextSegment {
  std::string text;
  bool trusted = false;
};

// The texts of a checkpoint's files that say how to tokenize. Only tokenizer_json is required; an empty string is an
// absent file.
struct TokenizerFiles {
  std::string tokenizer_json;
  std::string tokenizer_config;   // added_tokens_decoder, eos_token
  std::string generation_config;  // eos_token_id
  std::string config;             // eos_token_id, text_config.eos_token_id
};

class Tokenizer {
 public:
  // Reads the files above from a checkpoint folder. Throws kNotFound without tokenizer.json, kInvalidArgument when a
  // file is malformed or asks for something not supported; the message names file and field.
  static Tokenizer load(const std::filesystem::path& model_dir);
  static Tokenizer parse(const TokenizerFiles& files);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // With parse_special, spellings of added tokens become those tokens; without, they are ordinary text.
  std::vector<TokenId> encode(std::string_view text, bool parse_special = true) const;

  // Encodes the concatenation of the segments; added tokens are recognised only inside trusted ones. Words are split as
  // if there were no segment borders, so ordinary text gives the ids of encode(concatenation).
  std::vector<TokenId> encode(std::span<const TextSegment> segments) const;

  // Valid UTF-8, invalid sequences replaced by U+FFFD. Ids without a token (padding rows) are skipped.
  // "Special" is the flag of the file: <|im_end|> is special, <think> and <tool_call> are not and stay visible.
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens = true) const;

  // The bytes a token stands for; may be part of a character. Empty for ids without a token. Valid while *this lives.
  std::string_view token_bytes(TokenId id) const;

  // By the vocabulary's spelling ("Ġhello") or an added token's content ("<|im_end|>").
  std::optional<TokenId> token_to_id(std::string_view token) const;

  // The vocabulary's spelling, for display; empty for ids without a token.
  std::string id_to_token(TokenId id) const;

  // One more than the largest id that has a token. Ids from here to the model's vocab_size are padding rows that must
  // never be sampled.
  std::int32_t size() const;
  bool has_token(TokenId id) const;
  bool is_special(TokenId id) const;

  // Ids that end a generation, sorted: the union of generation_config eos, config eos, tokenizer_config eos_token,
  // <|endoftext|> and <|im_end|>.
  const std::vector<TokenId>& stop_ids() const;

 private:
  struct Parts;
  explicit Tokenizer(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

}  // namespace millrace::engine
