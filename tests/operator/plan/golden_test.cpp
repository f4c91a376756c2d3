#include "operator/plan/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::controller {
namespace {

using ::testing::HasSubstr;

const std::vector<GoldenPrompt> kPrompts = {{"What is 3 + 4?", "7", 8}, {"Say cat backwards.", "tac", 8}};

TEST(GoldenPrompts, AreContainedInAnAnswerThatPasses) {
  EXPECT_TRUE(passes(kPrompts[0], {"3 + 4 = 7.", ""}));
  EXPECT_FALSE(passes(kPrompts[0], {"8", ""}));
  EXPECT_FALSE(passes(kPrompts[0], {"7", "the connection broke"}));
}

TEST(GoldenPrompts, NameThePromptThatOnlyTheNewRevisionFails) {
  const GoldenAnswers answers = {{{"7", ""}, {"tac", ""}}, {{"7", ""}, {"cat", ""}}};
  EXPECT_EQ(golden_regression(kPrompts, answers),
            "golden prompt \"Say cat backwards.\": it answers \"cat\", which does not contain \"tac\"; the stable "
            "revision answers it");
}

TEST(GoldenPrompts, BlameNobodyForWhatTheStableRevisionFailsToo) {
  EXPECT_EQ(golden_regression(kPrompts, {{{"8", ""}, {"", "away"}}, {{"9", ""}, {"", "away"}}}), "");
  EXPECT_EQ(golden_regression(kPrompts, {{{"7", ""}, {"tac", ""}}, {{"= 7", ""}, {"tac", ""}}}), "");
}

TEST(GoldenPrompts, TakeNoAnswerForAWrongOne) {
  const GoldenAnswers answers = {{{"7", ""}, {"tac", ""}}, {{"", "answered 503"}, {"tac", ""}}};
  EXPECT_THAT(golden_regression(kPrompts, answers), HasSubstr("it does not answer: answered 503"));
}

TEST(GoldenPrompts, AreShownInPartWhenTheyAreLong) {
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "\xc3\xa4";
  const std::string said = golden_regression(kPrompts, {{{"7", ""}, {"tac", ""}}, {{wide, ""}, {"tac", ""}}});
  EXPECT_THAT(said, HasSubstr(wide.substr(0, 80) + "...\""));
}

}  // namespace
}  // namespace millrace::controller
