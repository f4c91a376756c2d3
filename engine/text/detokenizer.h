// Token ids to text, one token at a time. The text never ends inside a UTF-8 character.
// The concatenation of all push() results and flush() equals Tokenizer::decode of all ids.
#pragma once

#include <string>

#include "engine/text/utf8.h"
#include "engine/tokenizer.h"

namespace millrace::engine {

// One generation; one thread.
class Detokenizer {
 public:
  // The tokenizer must outlive the detokenizer.
  explicit Detokenizer(const Tokenizer& tokenizer, bool skip_special_tokens = true)
      : tokenizer_(tokenizer), skip_special_tokens_(skip_special_tokens) {}

  // Text completed by this token; empty while a character is incomplete.
  std::string push(TokenId id);

  // End of the generation: an incomplete character becomes U+FFFD.
  std::string flush();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_tokens_;
  Utf8Repair repair_;
};

}  // namespace millrace::engine
