// The published token vectors of the Qwen2 vocabulary, where the data folder next to the source tree has them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/text/detokenizer.h"
#include "engine/text/splitter.h"
#include "engine/text/unicode.h"
#include "engine/tokenizer.h"

namespace millrace::engine {
namespace {

std::filesystem::path data_dir() {
  return std::filesystem::path(MILLRACE_SOURCE_DIR).parent_path() / "shared/data/tokenizer";
}

std::string read(const std::string& name) {
  std::ifstream in(data_dir() / name, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> split_on(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find(separator, begin)) != std::string::npos; begin = end + separator.size()) {
    parts.push_back(text.substr(begin, end - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

// tokenizer.json as the family writes it, from the older pair of files.
std::string tokenizer_json(const std::string& pattern) {
  using nlohmann::json;
  json merges = json::array();
  for (const std::string& line : split_on(read("qwen2-merges.txt"), "\n")) {
    if (!line.empty() && line.rfind("#version", 0) != 0) merges.push_back(line);
  }
  const json split = {
      {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const json document = {
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", json::parse(read("qwen2-vocab.json"))}, {"merges", merges}}}};
  return document.dump();
}

class Qwen2Vectors : public testing::TestWithParam<const char*> {};

TEST_P(Qwen2Vectors, ReproduceAndDecodeBack) {
  if (!std::filesystem::exists(data_dir() / "qwen2-vocab.json")) {
    GTEST_SKIP() << "no Qwen2 vocabulary at " << data_dir();
  }
  const Tokenizer tokenizer =
      Tokenizer::parse({tokenizer_json(GetParam()), read("qwen2-tokenizer_config.json"), "", ""});
  EXPECT_EQ(tokenizer.size(), 151646);
  const auto texts = split_on(read("ggml-vocab-qwen2.gguf.inp"), "\n__ggml_vocab_test__\n");
  const auto lines = split_on(read("ggml-vocab-qwen2.gguf.out"), "\n");
  ASSERT_EQ(texts.size(), 47u);
  ASSERT_GE(lines.size(), 47u);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::vector<TokenId> expected;
    std::istringstream line(lines[i]);
    for (TokenId id = 0; line >> id;) expected.push_back(id);
    EXPECT_EQ(tokenizer.encode(texts[i]), expected) << texts[i];
    EXPECT_EQ(tokenizer.decode(expected), to_nfc(texts[i]));
    Detokenizer stream(tokenizer);
    std::string streamed;
    for (const TokenId id : expected) streamed += stream.push(id);
    EXPECT_EQ(streamed + stream.flush(), to_nfc(texts[i]));
  }
}

INSTANTIATE_TEST_SUITE_P(BothPatterns, Qwen2Vectors,
                         testing::Values(Splitter::kQwen2Pattern, Splitter::kQwen35Pattern));

}  // namespace
}  // namespace millrace::engine
