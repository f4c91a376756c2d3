#include "operator/api/rollout_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/manifest.h"

namespace millrace::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Read {
  RolloutSpec rollout;
  std::vector<std::string> problems;
};

Read read(const std::string& yaml) {
  Read result;
  const kube::Json spec = parse_yaml(yaml, "spec").at(0);
  FieldReader fields(spec, "spec", result.problems);
  read_rollout(fields, result.rollout, [](FieldReader& inner) { inner.refuse_unknown(); });
  return result;
}

TEST(RolloutSpec, SurgesByOneGroupWhenNothingIsSaid) {
  const Read none = read("{}");
  EXPECT_THAT(none.problems, IsEmpty());
  EXPECT_EQ(none.rollout.max_surge.of(10, Rounding::kUp), 1);
  EXPECT_EQ(none.rollout.max_unavailable.of(10, Rounding::kDown), 0);
  EXPECT_EQ(none.rollout.revision_history_limit, 10);
  EXPECT_FALSE(none.rollout.paused);
  EXPECT_FALSE(none.rollout.canary);
}

TEST(RolloutSpec, ReadsNumbersAndPercentages) {
  const Read both = read("rollout: {maxSurge: 25%, maxUnavailable: 2}");
  EXPECT_THAT(both.problems, IsEmpty());
  EXPECT_EQ(both.rollout.max_surge.of(5, Rounding::kUp), 2);
  EXPECT_EQ(both.rollout.max_surge.of(5, Rounding::kDown), 1);
  EXPECT_EQ(both.rollout.max_unavailable.of(5, Rounding::kDown), 2);
}

TEST(RolloutSpec, RefusesLimitsThatLetNothingMove) {
  EXPECT_THAT(
      read("rollout: {maxSurge: 0}").problems,
      ElementsAre("spec.rollout.maxUnavailable is 0 and so is maxSurge: nothing could ever be replaced; set one "
                  "of them to 1"));
  EXPECT_THAT(read("rollout: {maxSurge: 0%, maxUnavailable: 0%}").problems.size(), 1U);
}

TEST(RolloutSpec, RefusesWhatIsNeitherANumberNorAPercentage) {
  for (const char* value : {"half", "-1", "101%", "1.5", "5 %", "1001", "18446744073709551615", "true", "'%'"}) {
    SCOPED_TRACE(value);
    EXPECT_THAT(read(std::string("rollout: {maxSurge: ") + value + "}").problems,
                ElementsAre(HasSubstr("spec.rollout.maxSurge is ")));
  }
}

TEST(RolloutSpec, ReadsACanary) {
  const Read canary = read(R"(
rollout:
  canary:
    groups: 10%
    durationSeconds: 60
    readySeconds: 90
    minSamples: 50
    tolerances: {ttftPercent: 30, errorPercent: 0}
)");
  EXPECT_THAT(canary.problems, IsEmpty());
  ASSERT_TRUE(canary.rollout.canary);
  EXPECT_EQ(canary.rollout.canary->groups.of(11, Rounding::kUp), 2);
  EXPECT_EQ(canary.rollout.canary->duration_seconds, 60);
  EXPECT_EQ(canary.rollout.canary->ready_seconds, 90);
  EXPECT_EQ(canary.rollout.canary->min_samples, 50);
  EXPECT_EQ(canary.rollout.canary->tolerances.ttft_percent, 30);
  EXPECT_EQ(canary.rollout.canary->tolerances.inter_token_percent, 20);
  EXPECT_EQ(canary.rollout.canary->tolerances.error_percent, 0);
}

TEST(RolloutSpec, NamesWhatIsWrongInACanary) {
  EXPECT_THAT(read("rollout: {canary: {groups: 0}}").problems, ElementsAre(HasSubstr("needs at least 1 group")));
  EXPECT_THAT(read("rollout: {canary: {tolerance: 3}}").problems, ElementsAre(HasSubstr("tolerance is not a field")));
  EXPECT_THAT(read("rollout: {canary: {tolerances: {errorPercent: 101}}}").problems,
              ElementsAre(HasSubstr("spec.rollout.canary.tolerances.errorPercent is 101")));
}

TEST(RolloutSpec, ReadsGoldenPrompts) {
  const Read golden = read("rollout: {canary: {goldenPrompts: [{prompt: '3 + 4?', expect: '7', maxTokens: 9}]}}");
  EXPECT_THAT(golden.problems, IsEmpty());
  EXPECT_THAT(golden.rollout.canary->golden_prompts, ElementsAre(GoldenPrompt{"3 + 4?", "7", 9}));
  EXPECT_THAT(read("rollout: {canary: {goldenPrompts: [{prompt: p}, 3]}}").problems,
              ElementsAre("spec.rollout.canary.goldenPrompts[0].expect is missing: write what the answer must contain",
                          "spec.rollout.canary.goldenPrompts[1] is not an object with prompt and expect"));
}

TEST(RolloutSpec, ReadsPausedAndTheHistoryLimit) {
  const Read both = read("{paused: true, revisionHistoryLimit: 3}");
  EXPECT_THAT(both.problems, IsEmpty());
  EXPECT_TRUE(both.rollout.paused);
  EXPECT_EQ(both.rollout.revision_history_limit, 3);
  EXPECT_THAT(read("paused: 'yes'").problems, ElementsAre(HasSubstr("spec.paused is \"yes\": use true or false")));
}

}  // namespace
}  // namespace millrace::controller
