#include "engine/text/splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/error.h"
#include "engine/text/utf8.h"

namespace millrace::engine {
namespace {

using testing::ElementsAre;

std::vector<std::string> pieces(const Splitter& splitter, std::string_view text) {
  std::vector<std::string> out;
  splitter.split(text, [&](std::string_view piece) { out.emplace_back(piece); });
  return out;
}

std::vector<std::string> pieces(std::string_view text) {
  return pieces(Splitter(Splitter::kQwen35Pattern), text);
}

TEST(Splitter, WordsTakeOneLeadingSpaceOrSign) {
  EXPECT_THAT(pieces("Hello world, (x)"), ElementsAre("Hello", " world", ",", " (", "x", ")"));
  EXPECT_THAT(pieces("a\tb"), ElementsAre("a", "\tb"));
  EXPECT_THAT(pieces("$price"), ElementsAre("$price"));
}

TEST(Splitter, ContractionsComeFirst) {
  EXPECT_THAT(pieces("It's WE'LL 'D"), ElementsAre("It", "'s", " WE", "'LL", " '", "D"));
  EXPECT_THAT(pieces("'re"), ElementsAre("'re"));
  EXPECT_THAT(pieces("'x"), ElementsAre("'x"));
}

TEST(Splitter, EachDigitIsAPieceAndItsSpaceAnother) {
  EXPECT_THAT(pieces("a 123"), ElementsAre("a", " ", "1", "2", "3"));
}

TEST(Splitter, WhiteSpaceRunsLeaveTheLastSpaceToWhatFollows) {
  EXPECT_THAT(pieces("a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(pieces("a   1"), ElementsAre("a", "  ", " ", "1"));
  EXPECT_THAT(pieces("a   "), ElementsAre("a", "   "));
  EXPECT_THAT(pieces("a \t!"), ElementsAre("a", " ", "\t", "!"));
}

TEST(Splitter, NewlinesEndWhiteSpaceAndFollowPunctuation) {
  EXPECT_THAT(pieces("a \n \n  b"), ElementsAre("a", " \n \n", " ", " b"));
  EXPECT_THAT(pieces("end.\n\nNext"), ElementsAre("end", ".\n\n", "Next"));
  EXPECT_THAT(pieces("\r\n"), ElementsAre("\r\n"));
}

TEST(Splitter, MarksBelongToWordsInOnePatternAndToPunctuationInTheOther) {
  const std::string word = "\u0939\u093F\u0928";  // letter, vowel sign, letter
  EXPECT_THAT(pieces(word), ElementsAre(word));
  EXPECT_THAT(pieces(Splitter(Splitter::kQwen2Pattern), word), ElementsAre("\u0939", "\u093F\u0928"));
}

TEST(Splitter, OtherPatternsGoThroughPcreAndKeepTheGaps) {
  EXPECT_THAT(pieces(Splitter(R"(\d+)"), "ab12cd3"), ElementsAre("ab", "12", "cd", "3"));
  EXPECT_THAT(pieces(Splitter(R"(x*)"), "axxb"), ElementsAre("a", "xx", "b"));
}

TEST(Splitter, ABadPatternIsRefusedWithItsPosition) {
  try {
    Splitter splitter("a(b");
    FAIL();
  } catch (const common::Error& e) {
    EXPECT_EQ(e.code(), common::Code::kInvalidArgument);
    EXPECT_THAT(e.what(), testing::HasSubstr("pre_tokenizer"));
  }
}

// PCRE2 counts U+180E as white space, which Unicode no longer does; it is left out.
const std::vector<std::uint32_t>& alphabet() {
  static const std::vector<std::uint32_t> points = {
      ' ',  ' ',    ' ',    '\n',    '\r',   '\t',  '\'',   's',    'S',     'l',    'L',  'r',
      'e',  'a',    '1',    '!',     '.',    0x301, 0x93E,  0xE9,   0x663,   0x2160, 0xA0, 0x3000,
      0x85, 0x2028, 0x4E2D, 0x1F600, 0x200D, 0x17F, 0x200B, 0xFFFD, 0x1D7D8, 0x20DD};
  return points;
}

class ScannerAgainstPcre : public testing::TestWithParam<const char*> {};

TEST_P(ScannerAgainstPcre, GivesTheSamePiecesOnRandomText) {
  const Splitter scanner(GetParam());
  const Splitter pcre = Splitter::with_pcre(GetParam());
  std::mt19937 random(11);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const std::size_t length = random() % 14;
    for (std::size_t i = 0; i < length; ++i) append_utf8(alphabet()[random() % alphabet().size()], text);
    ASSERT_EQ(pieces(scanner, text), pieces(pcre, text)) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(BothPatterns, ScannerAgainstPcre,
                         testing::Values(Splitter::kQwen35Pattern, Splitter::kQwen2Pattern));

}  // namespace
}  // namespace millrace::engine
