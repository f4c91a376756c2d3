#include "engine/text/unicode.h"

#include <gtest/gtest.h>

namespace millrace::engine {
namespace {

TEST(Unicode, WhiteSpaceIsTheUnicodeProperty) {
  for (const std::uint32_t c : {0x9u, 0xBu, 0xCu, 0x20u, 0x85u, 0xA0u, 0x1680u, 0x2000u, 0x200Au, 0x2028u, 0x2029u,
                                0x202Fu, 0x205Fu, 0x3000u}) {
    EXPECT_EQ(char_class(c), CharClass::kSpace) << std::hex << c;
  }
  EXPECT_EQ(char_class('\n'), CharClass::kNewline);
  EXPECT_EQ(char_class('\r'), CharClass::kNewline);
  for (const std::uint32_t c : {0x1Cu, 0x180Eu, 0x200Bu, 0xFEFFu})
    EXPECT_EQ(char_class(c), CharClass::kOther) << std::hex << c;
}

TEST(Unicode, LettersMarksAndNumbersOfSeveralScripts) {
  for (const std::uint32_t c : {0x61u, 0xE9u, 0x416u, 0x5B57u, 0xAC00u, 0x1D400u, 0x2B0u}) {
    EXPECT_EQ(char_class(c), CharClass::kLetter) << std::hex << c;
  }
  for (const std::uint32_t c : {0x301u, 0x93Eu, 0x20DDu}) EXPECT_EQ(char_class(c), CharClass::kMark) << std::hex << c;
  for (const std::uint32_t c : {0x30u, 0xBDu, 0x2160u, 0x663u})
    EXPECT_EQ(char_class(c), CharClass::kNumber) << std::hex << c;
}

TEST(Nfc, ComposesLettersMarksAndHangul) {
  EXPECT_EQ(to_nfc("e\u0301"), "\u00E9");
  EXPECT_EQ(to_nfc("\u1112\u1161\u11AB"), "\uD55C");
  EXPECT_EQ(to_nfc("\uD558\u11AB"), "\uD55C");
  EXPECT_EQ(to_nfc("\u212B"), "\u00C5");               // singleton
  EXPECT_EQ(to_nfc("\u0958"), "\u0915\u093C");         // composition exclusion
  EXPECT_EQ(to_nfc("a\u0315\u0300"), "\u00E0\u0315");  // canonical order first
  EXPECT_EQ(to_nfc("\u304B\u3099"), "\u304C");
}

TEST(Nfc, LeavesNormalisedTextAlone) {
  for (const char* text : {"", "plain", "caf\u00E9", "\u4F60\u597D", "\uD55C\uAE00", "\U0001F469\u200D\U0001F680"}) {
    EXPECT_EQ(to_nfc(text), text);
  }
}

TEST(Nfc, AMegabyteOfUnorderedMarksIsSorted) {
  std::string text = "a";
  for (int i = 0; i < 250000; ++i) text += i % 2 == 0 ? "\u0301" : "\u0323";  // classes 230 and 220
  const std::string normal = to_nfc(text);
  EXPECT_EQ(normal.substr(0, 3), "\u1EA1");  // a with dot below
  EXPECT_EQ(normal.substr(normal.size() - 2), "\u0301");
  EXPECT_EQ(to_nfc(normal), normal);
}

}  // namespace
}  // namespace millrace::engine
