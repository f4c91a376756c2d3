// Token ids of the `tokenizers` package; tests/golden/text/README.md says how they were made.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/text/splitter.h"
#include "engine/tokenizer.h"
#include "tests/engine/text/test_data.h"

namespace millrace::engine {
namespace {

using nlohmann::json;

void expect_encodings(const Tokenizer& tokenizer, const json& cases, bool parse_special) {
  for (const json& c : cases) {
    const std::string text = c["text"].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, parse_special), c["ids"].get<std::vector<TokenId>>()) << text;
  }
}

TEST(GoldenTokens, TinyModelEncodesAndDecodesAsTheReference) {
  const std::filesystem::path golden = golden_text_dir() / "tokenizer_tiny_moe.json";
  if (!std::filesystem::exists(golden)) GTEST_SKIP() << "no " << golden;
  const Tokenizer tokenizer = Tokenizer::load(tiny_model_dir());
  const json document = json::parse(read_file(golden));
  ASSERT_GT(document["encode"].size(), 50u);
  expect_encodings(tokenizer, document["encode"], true);
  for (const json& c : document["decode"]) {
    const auto ids = c["ids"].get<std::vector<TokenId>>();
    EXPECT_EQ(tokenizer.decode(ids, false), c["text"].get<std::string>()) << c["ids"];
    EXPECT_EQ(tokenizer.decode(ids, true), c["text_skip_special"].get<std::string>()) << c["ids"];
  }
}

TEST(GoldenTokens, Qwen2VocabularyWithTheQwen35PatternEncodesAsTheReference) {
  const std::filesystem::path golden = golden_text_dir() / "tokenizer_qwen2.json";
  if (!std::filesystem::exists(golden)) GTEST_SKIP() << "no " << golden;
  const std::filesystem::path dir = shared_tokenizer_dir();
  if (!std::filesystem::exists(dir / "qwen2-vocab.json")) GTEST_SKIP() << "no Qwen2 vocabulary at " << dir;
  const Tokenizer tokenizer =
      Tokenizer::parse({qwen2_tokenizer_json(Splitter::kQwen35Pattern), "", R"({"eos_token_id": 0})", ""});
  expect_encodings(tokenizer, json::parse(read_file(golden))["encode"], false);
}

}  // namespace
}  // namespace millrace::engine
