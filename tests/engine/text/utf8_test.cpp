#include "engine/text/utf8.h"

#include <gtest/gtest.h>

#include <random>

namespace millrace::engine {
namespace {

const std::string kBad = "\uFFFD";

TEST(Utf8, DecodesTheFirstAndLastCharacterOfEachLength) {
  for (const std::uint32_t code_point :
       {0x0u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xD7FFu, 0xE000u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string text;
    append_utf8(code_point, text);
    const Utf8Char c = decode_utf8(text);
    EXPECT_TRUE(c.valid);
    EXPECT_EQ(c.code_point, code_point);
    EXPECT_EQ(c.length, text.size());
  }
}

TEST(Utf8, ReplacesEachMaximalInvalidPartOnce) {
  EXPECT_EQ(repair_utf8("a\xFFz"), "a" + kBad + "z");
  EXPECT_EQ(repair_utf8("\xC0\x80"), kBad + kBad);                        // overlong
  EXPECT_EQ(repair_utf8("\xED\xA0\x80"), kBad + kBad + kBad);             // surrogate
  EXPECT_EQ(repair_utf8("\xF4\x90\x80\x80"), kBad + kBad + kBad + kBad);  // above 10FFFF
  EXPECT_EQ(repair_utf8("\xE2\x82z"), kBad + "z");                        // broken off: one replacement
  EXPECT_EQ(repair_utf8("\xF0\x9F\x98"), kBad);                           // ends inside a character
  EXPECT_EQ(repair_utf8("\xF0\x9F\x98\xE2\x82\xAC"), kBad + "\u20AC");    // a new character cuts the old one off
}

TEST(Utf8, StreamRepairNeverEndsInsideACharacter) {
  Utf8Repair repair;
  EXPECT_EQ(repair.push("\xF0"), "");
  EXPECT_EQ(repair.push("\x9F\x98"), "");
  EXPECT_EQ(repair.push("\x80!"), "\U0001F600!");
  EXPECT_EQ(repair.push("\xE2\x82"), "");
  EXPECT_EQ(repair.flush(), kBad);
  EXPECT_EQ(repair.flush(), "");
}

TEST(Utf8, StreamRepairOfAnyCutsEqualsRepairOfTheWhole) {
  std::mt19937 random(7);
  const std::string interesting = "\x41\x7F\x80\xBF\xC2\xE0\xA0\xE2\x82\xAC\xED\xF0\x9F\x90\xF4\x8F\xFF";
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (int i = 0; i < 12; ++i) bytes.push_back(interesting[random() % interesting.size()]);
    Utf8Repair repair;
    std::string streamed;
    for (std::size_t i = 0; i < bytes.size();) {
      const std::size_t n = 1 + random() % 3;
      streamed += repair.push(std::string_view(bytes).substr(i, n));
      ASSERT_TRUE(is_valid_utf8(streamed));
      i += n;
    }
    streamed += repair.flush();
    ASSERT_EQ(streamed, repair_utf8(bytes));
    ASSERT_TRUE(is_valid_utf8(streamed));
  }
}

}  // namespace
}  // namespace millrace::engine
