#include "operator/plan/canary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using testing::GroupBuilder;
using ::testing::HasSubstr;
using testing::kNow;

GroupView serving(const std::string& revision, int index, std::chrono::seconds since) {
  return GroupBuilder(revision, index)
      .routed()
      .set([&](GroupView& group) { group.pods[0].gate_since = kNow - since; })
      .build();
}

CanaryInput canary_input(std::vector<GroupView> groups, int replicas = 3) {
  CanaryInput result;
  result.spec.emplace();
  result.spec->duration_seconds = 300;
  result.spec->min_samples = 100;
  result.replicas = replicas;
  result.update = "b";
  result.stable = "a";
  result.groups = std::move(groups);
  result.measured_since = kNow - std::chrono::minutes(5);
  return result;
}

CanarySamples samples(std::uint64_t stable, std::uint64_t update, std::uint64_t update_failed = 0) {
  CanarySamples result;
  result.stable.requests = stable;
  result.update.requests = update;
  result.update.failed = update_failed;
  return result;
}

TEST(Canary, IsNoneWithoutAWishOrAStableRevision) {
  CanaryInput none = canary_input({});
  none.spec.reset();
  EXPECT_EQ(plan_canary(none, kNow).phase, CanaryPhase::kNone);
  CanaryInput first = canary_input({});
  first.stable.clear();
  EXPECT_EQ(plan_canary(first, kNow).phase, CanaryPhase::kNone);
  CanaryInput same = canary_input({});
  same.stable = same.update;
  EXPECT_EQ(plan_canary(same, kNow).phase, CanaryPhase::kNone);
}

TEST(Canary, StartsWithItsShareOfGroups) {
  const CanaryPlan plan = plan_canary(canary_input({serving("a", 0, std::chrono::hours(1))}), kNow);
  EXPECT_EQ(plan.phase, CanaryPhase::kStarting);
  EXPECT_EQ(plan.groups, 1);
}

TEST(Canary, NeverTakesTheLastGroupThatItComparesWith) {
  CanaryInput half = canary_input({}, 2);
  half.spec->groups = {100, true};
  half.budgets = {0, 1};
  EXPECT_EQ(plan_canary(half, kNow).groups, 1);
  CanaryInput single = canary_input({}, 1);
  single.budgets = {0, 1};
  EXPECT_EQ(plan_canary(single, kNow).phase, CanaryPhase::kNone);
  single.budgets = {1, 0};
  EXPECT_EQ(plan_canary(single, kNow).groups, 1);
}

TEST(Canary, IsLookedAtAgainWhileItRuns) {
  const CanaryPlan running = plan_canary(canary_input({serving("b", 0, std::chrono::seconds(40))}), kNow);
  EXPECT_EQ(running.phase, CanaryPhase::kRunning);
  EXPECT_EQ(running.look_again, kCanaryLook);
}

TEST(Canary, MeasuresOnlyWhatIsWarm) {
  const CanaryPlan cold = plan_canary(canary_input({serving("b", 0, std::chrono::seconds(10))}), kNow);
  EXPECT_FALSE(cold.measures);
  EXPECT_EQ(cold.look_again, std::chrono::seconds(20));
  EXPECT_TRUE(plan_canary(canary_input({serving("b", 0, std::chrono::seconds(30))}), kNow).measures);
}

TEST(Canary, ComparesForItsWholeTimeAlsoAfterARestartOfTheOperator) {
  CanaryInput restarted = canary_input({serving("b", 0, std::chrono::hours(2))});
  restarted.samples = samples(500, 120);
  restarted.measured_since.reset();
  EXPECT_EQ(plan_canary(restarted, kNow).phase, CanaryPhase::kRunning);
  restarted.measured_since = kNow - std::chrono::seconds(299);
  EXPECT_EQ(plan_canary(restarted, kNow).phase, CanaryPhase::kRunning);
}

TEST(Canary, ComparesAnewWhenItsGroupsCameBack) {
  CanaryInput back = canary_input({serving("b", 0, std::chrono::seconds(60))});
  back.samples = samples(500, 120);
  EXPECT_EQ(plan_canary(back, kNow).phase, CanaryPhase::kRunning) << "measured for longer than the group serves";
}

TEST(Canary, PassesAfterItsTimeWithEnoughSamples) {
  CanaryInput done = canary_input({serving("b", 0, std::chrono::seconds(330))});
  done.samples = samples(500, 120);
  const CanaryPlan plan = plan_canary(done, kNow);
  EXPECT_EQ(plan.phase, CanaryPhase::kPassed);
  EXPECT_TRUE(plan.decided_now);
}

TEST(Canary, WaitsForMoreRequestsWhenThereWereTooFew) {
  CanaryInput quiet = canary_input({serving("b", 0, std::chrono::hours(2))});
  quiet.samples = samples(500, 30);
  const CanaryPlan plan = plan_canary(quiet, kNow);
  EXPECT_EQ(plan.phase, CanaryPhase::kRunning);
  EXPECT_THAT(plan.message, HasSubstr("70 more requests"));
  quiet.spec->min_samples = 0;
  EXPECT_EQ(plan_canary(quiet, kNow).phase, CanaryPhase::kPassed);
}

TEST(Canary, FailsBeforeItsTimeIsUpWhenTheEvidenceIsClear) {
  CanaryInput bad = canary_input({serving("b", 0, std::chrono::seconds(60))});
  bad.samples = samples(500, 100, 60);
  const CanaryPlan plan = plan_canary(bad, kNow);
  EXPECT_EQ(plan.phase, CanaryPhase::kFailed);
  EXPECT_TRUE(plan.decided_now);
  EXPECT_THAT(plan.message, HasSubstr("60.0 % of its requests fail"));
}

TEST(Canary, WaitsForItsGoldenPromptsAndFailsByThem) {
  CanaryInput asked = canary_input({serving("b", 0, std::chrono::hours(1))});
  asked.samples = samples(500, 120);
  asked.spec->golden_prompts = {{"What is 3 + 4?", "7", 8}};
  const CanaryPlan waiting = plan_canary(asked, kNow);
  EXPECT_EQ(waiting.phase, CanaryPhase::kRunning);
  EXPECT_THAT(waiting.message, HasSubstr("golden prompts"));
  asked.golden = GoldenAnswers{{{"7", ""}}, {{"7", ""}}};
  EXPECT_EQ(plan_canary(asked, kNow).phase, CanaryPhase::kPassed);
  asked.golden = GoldenAnswers{{{"7", ""}}, {{"8", ""}}};
  const CanaryPlan wrong = plan_canary(asked, kNow);
  EXPECT_EQ(wrong.phase, CanaryPhase::kFailed);
  EXPECT_THAT(wrong.message, HasSubstr("it answers \"8\""));
}

TEST(Canary, FailsWhenAGroupDoesNotStart) {
  const GroupView crashing = GroupBuilder("b", 0)
                                 .set([](GroupView& group) {
                                   group.pods[0].trouble_reason = "CrashLoopBackOff";
                                   group.pods[0].trouble_message = "no such tensor";
                                 })
                                 .build();
  const CanaryPlan plan = plan_canary(canary_input({crashing}), kNow);
  EXPECT_EQ(plan.phase, CanaryPhase::kFailed);
  EXPECT_THAT(plan.message, HasSubstr("no such tensor"));
}

TEST(Canary, FailsWhenItsGroupsDoNotServeInTime) {
  CanaryInput slow = canary_input({GroupBuilder("b", 0).loading().build()});  // made ten minutes ago
  EXPECT_EQ(plan_canary(slow, kNow).phase, CanaryPhase::kStarting);
  slow.spec->ready_seconds = 60;
  const CanaryPlan plan = plan_canary(slow, kNow);
  EXPECT_EQ(plan.phase, CanaryPhase::kFailed);
  EXPECT_THAT(plan.message, HasSubstr("spec.rollout.canary.readySeconds"));
}

TEST(Canary, StandsByItsVerdict) {
  CanaryInput decided = canary_input({serving("b", 0, std::chrono::seconds(60))});
  decided.recorded = CanaryVerdict::kFailed;
  decided.recorded_reason = "it was slow";
  const CanaryPlan failed = plan_canary(decided, kNow);
  EXPECT_EQ(failed.phase, CanaryPhase::kFailed);
  EXPECT_FALSE(failed.decided_now);
  EXPECT_EQ(failed.message, "it was slow");
  decided.recorded = CanaryVerdict::kPassed;
  EXPECT_EQ(plan_canary(decided, kNow).phase, CanaryPhase::kPassed);
}

}  // namespace
}  // namespace millrace::controller
