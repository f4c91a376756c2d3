#include "engine/text/detokenizer.h"

namespace millrace::engine {

std::string Detokenizer::push(TokenId id) {
  if (skip_special_tokens_ && tokenizer_.is_special(id)) return {};
  return repair_.push(tokenizer_.token_bytes(id));
}

std::string Detokenizer::flush() {
  return repair_.flush();
}

}  // namespace millrace::engine
