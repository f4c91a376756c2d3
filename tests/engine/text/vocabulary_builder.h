// Builds small tokenizer.json texts for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/tokenizer.h"

namespace millrace::engine {

// All 256 byte symbols get the ids 0..255 (in byte order), each merge the next id, then come the added tokens.
class VocabularyBuilder {
 public:
  // Spelled in the byte alphabet; both parts must be known already.
  VocabularyBuilder& merge(const std::string& left, const std::string& right);
  // A vocabulary entry no merge produces.
  VocabularyBuilder& unreachable(const std::string& spelling);
  VocabularyBuilder& added(const std::string& content, bool special);
  VocabularyBuilder& pattern(const std::string& regex);
  VocabularyBuilder& merges_as_lines();
  // A top-level field as JSON text, for example {"normalizer", "null"}.
  VocabularyBuilder& field(const std::string& name, const std::string& json);

  std::string json() const;
  Tokenizer build() const;

 private:
  std::vector<std::string> entries_;
  std::vector<std::pair<std::string, std::string>> merges_;
  std::vector<std::pair<std::string, bool>> added_;
  std::vector<std::pair<std::string, std::string>> fields_;
  std::string pattern_;
  bool lines_ = false;
};

// The 26 added tokens of Qwen3.5, in order.
VocabularyBuilder family_vocabulary();

}  // namespace millrace::engine
