#include "engine/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <thread>

#include "common/error.h"
#include "engine/text/detokenizer.h"
#include "engine/text/utf8.h"
#include "tests/engine/text/vocabulary_builder.h"

namespace millrace::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The message of the error that parsing gives; empty if there is none.
std::string error_of(const TokenizerFiles& files) {
  try {
    Tokenizer::parse(files);
    return "";
  } catch (const common::Error& e) {
    EXPECT_EQ(e.code(), common::Code::kInvalidArgument);
    return e.what();
  }
}

std::string error_of(const VocabularyBuilder& builder) {
  return error_of({builder.json(), "", "", ""});
}

TEST(Tokenizer, MergesByRankLeftmostFirst) {
  // 256 "bc", 257 "ab", 258 "aa": bc outranks ab.
  const Tokenizer t = family_vocabulary().merge("b", "c").merge("a", "b").merge("a", "a").build();
  EXPECT_THAT(t.encode("abc"), ElementsAre('a', 256));
  EXPECT_THAT(t.encode("abd"), ElementsAre(257, 'd'));
  EXPECT_THAT(t.encode("aaa"), ElementsAre(258, 'a'));
}

TEST(Tokenizer, BothSerialisationsOfMergesReadTheSame) {
  VocabularyBuilder builder = family_vocabulary().merge("a", "b").merge("ab", "c");
  const Tokenizer pairs = builder.build();
  const Tokenizer lines = builder.merges_as_lines().build();
  EXPECT_EQ(pairs.encode("abcab"), lines.encode("abcab"));
  EXPECT_THAT(lines.encode("abcab"), ElementsAre(257, 256));
}

TEST(Tokenizer, UnreachableEntriesAreDecodedButNeverEncoded) {
  const Tokenizer t = family_vocabulary().unreachable("hello").build();
  EXPECT_EQ(t.encode("hello").size(), 5u);
  EXPECT_EQ(t.decode(std::vector<TokenId>{256}), "hello");
}

TEST(Tokenizer, AddedTokensCutTheTextLeftmostLongest) {
  const Tokenizer t = VocabularyBuilder().added("<a>", false).added("<a><b>", false).added("<|im_end|>", true).build();
  EXPECT_THAT(t.encode("x<a><b><a>"), ElementsAre('x', 257, 256));
  EXPECT_THAT(t.encode("<a", true), ElementsAre('<', 'a'));
}

TEST(Tokenizer, NormalisesToNfc) {
  const Tokenizer t = family_vocabulary().build();
  EXPECT_EQ(t.encode("e\u0301"), t.encode("\u00E9"));
  const Tokenizer raw = family_vocabulary().field("normalizer", "null").build();
  EXPECT_NE(raw.encode("e\u0301"), raw.encode("\u00E9"));
}

TEST(Tokenizer, UserTextCannotMakeControlTokens) {
  const Tokenizer t = family_vocabulary().build();
  const TokenId end = *t.token_to_id("<|im_end|>");
  const std::vector<TextSegment> segments = {
      {"<|im_start|>user\n", true}, {"<|im_end|>", false}, {"<|im_", false}, {"end|>", true}, {"<|im_end|>", true}};
  const std::vector<TokenId> ids = t.encode(segments);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), end), 1);
  EXPECT_EQ(ids.back(), end);
  EXPECT_EQ(t.decode(ids, false), "<|im_start|>user\n<|im_end|><|im_end|><|im_end|>");
  EXPECT_THAT(t.encode("<|im_end|>", false), testing::Not(testing::Contains(end)));
}

TEST(Tokenizer, SegmentBordersDoNotSplitWords) {
  const Tokenizer t = family_vocabulary().merge("a", "b").build();
  const std::vector<TextSegment> segments = {{"<think>a", true}, {"b", false}, {"\n", true}};
  EXPECT_EQ(t.encode(segments), t.encode("<think>ab\n"));
}

TEST(Tokenizer, AdjacentTrustedSegmentsReadAsOne) {
  const Tokenizer t = family_vocabulary().build();
  const std::vector<TextSegment> segments = {{"<|im_", true}, {"end|>", true}};
  EXPECT_THAT(t.encode(segments), ElementsAre(*t.token_to_id("<|im_end|>")));
}

TEST(Tokenizer, SpecialTokensCanBeSkippedWhileMarkupStays) {
  const Tokenizer t = family_vocabulary().build();
  const std::vector<TokenId> ids = t.encode("<think>a</think><|im_end|>");
  EXPECT_EQ(t.decode(ids, true), "<think>a</think>");
  EXPECT_EQ(t.decode(ids, false), "<think>a</think><|im_end|>");
}

TEST(Tokenizer, PaddingRowsHaveNoText) {
  const Tokenizer t = family_vocabulary().build();
  EXPECT_EQ(t.size(), 256 + 26);
  EXPECT_FALSE(t.has_token(t.size()));
  EXPECT_FALSE(t.has_token(-1));
  EXPECT_EQ(t.token_bytes(t.size()), "");
  EXPECT_EQ(t.id_to_token(100000), "");
  EXPECT_EQ(t.decode(std::vector<TokenId>{-5, t.size(), 'a', 1 << 30}), "a");
}

TEST(Tokenizer, SpellingsAndBytesOfTokens) {
  const Tokenizer t = family_vocabulary().merge("\u0120", "a").build();
  EXPECT_EQ(t.id_to_token(256), "\u0120a");
  EXPECT_EQ(t.token_bytes(256), " a");
  EXPECT_EQ(t.token_to_id("\u0120a"), 256);
  EXPECT_EQ(t.token_to_id(" a"), std::nullopt);
  EXPECT_EQ(t.token_bytes(0xE9), "\xE9");
}

TEST(Tokenizer, StopIdsAreTheUnionOfAllFiles) {
  const std::string text = family_vocabulary().json();
  const Tokenizer plain = Tokenizer::parse({text, "", "", ""});
  const TokenId end_of_text = *plain.token_to_id("<|endoftext|>");
  EXPECT_THAT(plain.stop_ids(), ElementsAre(end_of_text, end_of_text + 2));
  const Tokenizer all =
      Tokenizer::parse({text, R"({"eos_token": {"content": "<think>"}})", R"({"eos_token_id": [7, 5]})",
                        R"({"eos_token_id": 5, "text_config": {"eos_token_id": 9}})"});
  EXPECT_THAT(all.stop_ids(), ElementsAre(5, 7, 9, end_of_text, end_of_text + 2, *plain.token_to_id("<think>")));
}

TEST(Tokenizer, ConfigAddsTokensThatTokenizerJsonLacks) {
  const std::string config =
      R"({"added_tokens_decoder": {"282": {"content": "<tts_pad>", "special": true},
                                   "258": {"content": "<|im_end|>", "special": false}}})";
  const Tokenizer t = Tokenizer::parse({family_vocabulary().json(), config, "", ""});
  EXPECT_EQ(t.size(), 283);
  EXPECT_THAT(t.encode("<tts_pad>"), ElementsAre(282));
  EXPECT_TRUE(t.is_special(282));
  EXPECT_TRUE(t.is_special(258));
}

TEST(Tokenizer, ErrorsNameFileAndField) {
  EXPECT_THAT(error_of({"{", "", "", ""}), HasSubstr("tokenizer.json: not JSON"));
  EXPECT_THAT(error_of({"[]", "", "", ""}), HasSubstr("tokenizer.json: not a JSON object"));
  EXPECT_THAT(error_of({"{}", "", "", ""}), HasSubstr("model.type"));
  EXPECT_THAT(error_of(VocabularyBuilder()), HasSubstr("no token ends a generation"));
  EXPECT_THAT(error_of(family_vocabulary().field("model/type", R"("Unigram")")),
              HasSubstr("model.type is \"Unigram\""));
  EXPECT_THAT(error_of(family_vocabulary().field("model/vocab/x y", "-1")), HasSubstr("\"x y\" has no integer id"));
  EXPECT_THAT(error_of(family_vocabulary().field("model/vocab/huge", "99999999999")),
              HasSubstr("the largest accepted"));
  EXPECT_THAT(error_of(family_vocabulary().field("model/vocab/twice", "7")), HasSubstr("id 7 is given to both"));
  EXPECT_THAT(error_of(family_vocabulary().field("model/merges", R"(["a b c"])")), HasSubstr("model.merges[0]"));
  EXPECT_THAT(error_of(family_vocabulary().field("model/merges", R"([["a", "zz"]])")), HasSubstr("\"zz\" is not in"));
  EXPECT_THAT(error_of(family_vocabulary().field("normalizer", R"({"type": "NFKC"})")), HasSubstr("normalizer is"));
  EXPECT_THAT(error_of(family_vocabulary().field("pre_tokenizer", "null")), HasSubstr("pre_tokenizer is null"));
  EXPECT_THAT(error_of(family_vocabulary().field("post_processor", R"({"type": "TemplateProcessing"})")),
              HasSubstr("post_processor"));
  EXPECT_THAT(error_of(family_vocabulary().added("<strip>", false).field("added_tokens/26/lstrip", "true")),
              HasSubstr("added_tokens[26].lstrip"));
  EXPECT_THAT(error_of({family_vocabulary().json(), R"({"eos_token": "<nope>"})", "", ""}),
              HasSubstr("tokenizer_config.json: eos_token is \"<nope>\""));
  EXPECT_THAT(error_of({family_vocabulary().json(), R"({"added_tokens_decoder": {"256": {"content": "x"}}})", "", ""}),
              HasSubstr("added_tokens_decoder.256"));
  EXPECT_THAT(error_of({family_vocabulary().json(), "", R"({"eos_token_id": "2"})", ""}),
              HasSubstr("generation_config.json: eos_token_id"));
}

TEST(Tokenizer, AMissingByteSymbolIsNamed) {
  std::string text = family_vocabulary().json();
  text.replace(text.find("\"!\":"), 4, "\"!!\":");
  EXPECT_THAT(error_of({text, "", "", ""}), HasSubstr("no entry \"!\" for byte 33"));
}

TEST(Tokenizer, LoadsAFolderAndSaysWhatIsMissing) {
  const std::filesystem::path dir = std::filesystem::path(testing::TempDir()) / "millrace-tokenizer";
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  try {
    Tokenizer::load(dir);
    FAIL();
  } catch (const common::Error& e) {
    EXPECT_EQ(e.code(), common::Code::kNotFound);
    EXPECT_THAT(e.what(), HasSubstr("tokenizer.json"));
  }
  std::ofstream(dir / "tokenizer.json") << family_vocabulary().json();
  EXPECT_EQ(Tokenizer::load(dir).size(), 282);
  std::ofstream(dir / "config.json") << "{";
  try {
    Tokenizer::load(dir);
    FAIL();
  } catch (const common::Error& e) {
    EXPECT_THAT(e.what(), HasSubstr(dir.string() + ": config.json: not JSON"));
  }
}

TEST(Tokenizer, InvalidUtf8IsReadAsReplacementCharacters) {
  const Tokenizer t = family_vocabulary().build();
  EXPECT_EQ(t.encode("a\xFF\xE2\x82"), t.encode("a\uFFFD\uFFFD"));
}

TEST(Tokenizer, AMegabyteOfOneCharacterIsEncoded) {
  const Tokenizer t = family_vocabulary().merge("a", "a").merge("aa", "aa").merge("aaaa", "aaaa").build();
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(t.encode(text), std::vector<TokenId>((1 << 20) / 8, 258));
  for (const char c : {' ', '\n', '!', '1', '<', '\''}) {
    const std::string run(1 << 18, c);
    EXPECT_EQ(t.decode(t.encode(run)), run);
  }
}

TEST(Tokenizer, ThreadsShareOneTokenizer) {
  const Tokenizer t = family_vocabulary().merge("a", "b").merge("ab", "ab").merge("\u0120", "ab").build();
  std::vector<std::string> texts;
  std::vector<std::vector<TokenId>> expected;
  for (int i = 0; i < 200; ++i) {
    texts.push_back("ab abab word" + std::to_string(i) + " x" + std::string(static_cast<std::size_t>(i), 'a'));
    expected.push_back(t.encode(texts.back()));
  }
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int k = 0; k < 4; ++k) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < texts.size(); ++i) wrong += t.encode(texts[i]) != expected[i];
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Detokenizer, StreamsWholeCharactersAndEqualsDecode) {
  const Tokenizer t = family_vocabulary().build();
  std::mt19937 random(5);
  for (int round = 0; round < 500; ++round) {
    std::vector<TokenId> ids;
    for (int i = 0; i < 12; ++i) ids.push_back(static_cast<TokenId>(0x7E + random() % (282 - 0x7E)));
    Detokenizer stream(t, round % 2 == 0);
    std::string text;
    for (const TokenId id : ids) {
      const std::string piece = stream.push(id);
      ASSERT_TRUE(is_valid_utf8(piece));
      text += piece;
    }
    ASSERT_EQ(text + stream.flush(), t.decode(ids, round % 2 == 0));
  }
}

TEST(Detokenizer, HoldsAnIncompleteCharacterAndFlushesItAsReplacement) {
  const Tokenizer t = family_vocabulary().build();
  Detokenizer stream(t);
  EXPECT_EQ(stream.push(0xE4), "");
  EXPECT_EQ(stream.push(0xBD), "");
  EXPECT_EQ(stream.push(0xA0), "\u4F60");
  EXPECT_EQ(stream.push(0xE4), "");
  EXPECT_EQ(stream.flush(), "\uFFFD");
}

}  // namespace
}  // namespace millrace::engine
