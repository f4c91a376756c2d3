// The published token vectors of the Qwen2 vocabulary, where the data folder next to the source tree has them.
#include <gtest/gtest.h>

#include <sstream>

#include "engine/text/detokenizer.h"
#include "engine/text/splitter.h"
#include "engine/text/unicode.h"
#include "engine/tokenizer.h"
#include "tests/engine/text/test_data.h"

namespace millrace::engine {
namespace {

class Qwen2Vectors : public testing::TestWithParam<const char*> {};

TEST_P(Qwen2Vectors, ReproduceAndDecodeBack) {
  const std::filesystem::path dir = shared_tokenizer_dir();
  if (!std::filesystem::exists(dir / "qwen2-vocab.json")) GTEST_SKIP() << "no Qwen2 vocabulary at " << dir;
  const Tokenizer tokenizer =
      Tokenizer::parse({qwen2_tokenizer_json(GetParam()), read_file(dir / "qwen2-tokenizer_config.json"), "", ""});
  EXPECT_EQ(tokenizer.size(), 151646);
  const auto texts = split_on(read_file(dir / "ggml-vocab-qwen2.gguf.inp"), "\n__ggml_vocab_test__\n");
  const auto lines = split_on(read_file(dir / "ggml-vocab-qwen2.gguf.out"), "\n");
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
