#include "tests/engine/text/vocabulary_builder.h"

#include <nlohmann/json.hpp>

#include "engine/text/byte_alphabet.h"
#include "engine/text/splitter.h"
#include "engine/text/utf8.h"

namespace millrace::engine {

using nlohmann::json;

VocabularyBuilder& VocabularyBuilder::merge(const std::string& left, const std::string& right) {
  merges_.emplace_back(left, right);
  return unreachable(left + right);
}

VocabularyBuilder& VocabularyBuilder::unreachable(const std::string& spelling) {
  entries_.push_back(spelling);
  return *this;
}

VocabularyBuilder& VocabularyBuilder::added(const std::string& content, bool special) {
  added_.emplace_back(content, special);
  return *this;
}

VocabularyBuilder& VocabularyBuilder::pattern(const std::string& regex) {
  pattern_ = regex;
  return *this;
}

VocabularyBuilder& VocabularyBuilder::merges_as_lines() {
  lines_ = true;
  return *this;
}

VocabularyBuilder& VocabularyBuilder::field(const std::string& name, const std::string& value) {
  fields_.emplace_back(name, value);
  return *this;
}

std::string VocabularyBuilder::json() const {
  using nlohmann::json;
  json vocab = json::object();
  int next = 0;
  for (; next < 256; ++next) {
    std::string symbol;
    append_utf8(byte_symbol(static_cast<unsigned char>(next)), symbol);
    vocab[symbol] = next;
  }
  for (const std::string& entry : entries_) {
    if (!vocab.contains(entry)) vocab[entry] = next++;
  }
  json merges = json::array();
  for (const auto& [left, right] : merges_)
    merges.push_back(lines_ ? json(left + " " + right) : json::array({left, right}));
  json added = json::array();
  for (const auto& [content, special] : added_) {
    added.push_back({{"id", next++}, {"content", content}, {"special", special}, {"normalized", false}});
  }
  const std::string regex = pattern_.empty() ? Splitter::kQwen35Pattern : pattern_;
  json document = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer",
       {{"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}},
          {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"post_processor", nullptr},
      {"model", {{"type", "BPE"}, {"ignore_merges", false}, {"vocab", vocab}, {"merges", merges}}},
  };
  for (const auto& [name, value] : fields_) document[json::json_pointer("/" + name)] = json::parse(value);
  return document.dump();
}

Tokenizer VocabularyBuilder::build() const {
  TokenizerFiles files;
  files.tokenizer_json = json();
  return Tokenizer::parse(files);
}

VocabularyBuilder family_vocabulary() {
  VocabularyBuilder builder;
  for (const char* name :
       {"endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start", "box_end", "quad_start",
        "quad_end", "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad"}) {
    builder.added("<|" + std::string(name) + "|>", true);
  }
  for (const char* content :
       {"<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
        "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>"}) {
    builder.added(content, false);
  }
  return builder;
}

}  // namespace millrace::engine
