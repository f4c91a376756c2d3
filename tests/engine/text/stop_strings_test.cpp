#include "engine/text/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

#include "common/error.h"

namespace millrace::engine {
namespace {

TEST(StopStrings, CutsAtTheMatchEvenAcrossPieces) {
  StopStrings stop({"END"});
  EXPECT_EQ(stop.push("one E"), "one ");
  EXPECT_EQ(stop.push("N"), "");
  EXPECT_EQ(stop.push("D two"), "");
  ASSERT_TRUE(stop.stopped());
  EXPECT_EQ(*stop.matched(), "END");
  EXPECT_EQ(stop.push("more"), "");
  EXPECT_EQ(stop.flush(), "");
}

TEST(StopStrings, ReleasesWhatTurnsOutToBeOrdinary) {
  StopStrings stop({"aab"});
  EXPECT_EQ(stop.push("aa"), "");
  EXPECT_EQ(stop.push("a"), "a");
  EXPECT_EQ(stop.push("c"), "aac");
  EXPECT_EQ(stop.push("xa"), "x");
  EXPECT_EQ(stop.flush(), "a");
  EXPECT_FALSE(stop.stopped());
}

TEST(StopStrings, CanIncludeTheStopString) {
  StopStrings stop({"\n\n"}, true);
  EXPECT_EQ(stop.push("a\n\nb"), "a\n\n");
}

TEST(StopStrings, TheMatchThatEndsFirstWinsThenTheLongest) {
  StopStrings first({"abcd", "bc"});
  EXPECT_EQ(first.push("xabcd"), "xa");
  StopStrings longest({"bc", "abc"});
  EXPECT_EQ(longest.push("xabc"), "x");
}

TEST(StopStrings, AnEmptyStopStringIsRefused) {
  EXPECT_THROW(StopStrings({"a", ""}), common::Error);
}

TEST(StopStrings, PiecesOfAnySizeGiveTheSameText) {
  std::mt19937 random(3);
  const auto word = [&random](std::size_t least, std::size_t most) {
    std::string text;
    const std::size_t length = least + random() % (most - least + 1);
    for (std::size_t i = 0; i < length; ++i) text.push_back("abc"[random() % 3]);
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    const std::vector<std::string> stops = {word(2, 5), word(3, 6)};
    const bool include = random() % 2 == 0;
    const std::string text = word(0, 20);
    StopStrings whole(stops, include), pieces(stops, include);
    std::string expected = whole.push(text);
    expected += whole.flush();
    std::string streamed;
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t n = 1 + random() % 3;
      streamed += pieces.push(std::string_view(text).substr(i, n));
      i += n;
    }
    streamed += pieces.flush();
    ASSERT_EQ(streamed, expected) << text;
    ASSERT_EQ(pieces.stopped(), whole.stopped());
    const bool contains = text.find(stops[0]) != std::string::npos || text.find(stops[1]) != std::string::npos;
    ASSERT_EQ(whole.stopped(), contains);
  }
}

}  // namespace
}  // namespace millrace::engine
