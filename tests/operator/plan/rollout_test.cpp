#include "operator/plan/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using ::testing::ElementsAre;
using testing::facts;
using ::testing::IsEmpty;

std::vector<std::string> retired(const RolloutPlan& plan) {
  std::vector<std::string> names;
  for (const Retirement& retirement : plan.retire) names.push_back(retirement.group);
  return names;
}

RolloutInput input(int replicas, std::vector<GroupFacts> groups, const std::string& revision = "a") {
  RolloutInput result;
  result.replicas = replicas;
  result.revision = revision;
  result.groups = std::move(groups);
  return result;
}

TEST(Rollout, MakesEveryGroupAtOnceAtTheStart) {
  const RolloutPlan plan = plan_rollout(input(3, {}));
  ASSERT_EQ(plan.create.size(), 3U);
  EXPECT_EQ(plan.create[2].index, 2);
  EXPECT_THAT(plan.retire, IsEmpty());
}

TEST(Rollout, LeavesAFinishedDeploymentAlone) {
  EXPECT_TRUE(plan_rollout(input(2, {facts("a", 0, true), facts("a", 1, true)})).empty());
}

TEST(Rollout, SurgesByOneGroupForANewRevision) {
  const RolloutPlan plan = plan_rollout(input(3, {facts("a", 0, true), facts("a", 1, true), facts("a", 2, true)}, "b"));
  EXPECT_EQ(plan.create.size(), 1U);
  EXPECT_THAT(plan.retire, IsEmpty());
}

TEST(Rollout, WaitsForTheNewGroupBeforeItRetiresAnOldOne) {
  const std::vector<GroupFacts> loading{facts("a", 0, true), facts("a", 1, true), facts("b", 0, false)};
  EXPECT_TRUE(plan_rollout(input(2, loading, "b")).empty());
  const std::vector<GroupFacts> routed{facts("a", 0, true), facts("a", 1, true), facts("b", 0, true)};
  EXPECT_THAT(retired(plan_rollout(input(2, routed, "b"))), ElementsAre("m-a-1"));
}

TEST(Rollout, CountsAGroupThatStillDrainsAgainstTheSurge) {
  GroupFacts draining = facts("a", 1, false);
  draining.life = GroupFacts::Life::kRetiring;
  EXPECT_TRUE(plan_rollout(input(2, {facts("a", 0, true), draining, facts("b", 0, true)}, "b")).empty());
}

TEST(Rollout, KeepsTheGroupsThatServeWhenAnEditIsRevertedHalfWay) {
  const RolloutPlan plan =
      plan_rollout(input(3, {facts("a", 0, true), facts("a", 1, true), facts("a", 2, true), facts("b", 0, false)}));
  EXPECT_THAT(retired(plan), ElementsAre("m-b-0"));
  EXPECT_THAT(plan.create, IsEmpty());
}

TEST(Rollout, ReplacesABrokenRevisionWithoutWaitingForIt) {
  const RolloutPlan plan = plan_rollout(input(1, {facts("a", 0, false)}, "b"));
  EXPECT_THAT(retired(plan), ElementsAre("m-a-0"));
  EXPECT_EQ(plan.create.size(), 1U);
}

TEST(Rollout, GivesAnOldGroupThatLostItsRouteTimeToComeBack) {
  GroupFacts lost = facts("a", 0, false);
  lost.was_routable = true;
  EXPECT_THAT(plan_rollout(input(1, {lost}, "b")).retire, IsEmpty());
  lost.lost_long = true;
  EXPECT_THAT(retired(plan_rollout(input(1, {lost}, "b"))), ElementsAre("m-a-0"));
}

TEST(Rollout, ScalesDownGroupsThatDoNotServeFirst) {
  const RolloutPlan plan = plan_rollout(input(2, {facts("a", 0, false), facts("a", 1, true), facts("a", 2, true)}));
  EXPECT_THAT(retired(plan), ElementsAre("m-a-0"));
}

TEST(Rollout, ScalesDownInTheFullestZone) {
  const RolloutPlan plan =
      plan_rollout(input(2, {facts("a", 0, true, "x"), facts("a", 1, true, "y"), facts("a", 2, true, "x")}));
  EXPECT_THAT(retired(plan), ElementsAre("m-a-2"));
}

TEST(Rollout, ScalesToZero) {
  EXPECT_EQ(plan_rollout(input(0, {facts("a", 0, true), facts("a", 1, false)})).retire.size(), 2U);
}

TEST(Rollout, FillsTheLowestFreeIndex) {
  GroupFacts leaving = facts("a", 0, false);
  leaving.life = GroupFacts::Life::kTerminating;
  const RolloutPlan plan = plan_rollout(input(2, {leaving, facts("a", 2, true)}));
  ASSERT_EQ(plan.create.size(), 1U);
  EXPECT_EQ(plan.create[0].index, 1);
}

TEST(Rollout, DoesNotWaitForAPodWhoseNodeIsSilent) {
  GroupFacts stuck = facts("a", 0, false);
  stuck.life = GroupFacts::Life::kTerminating;
  GroupFacts stuck_too = stuck;
  stuck_too.index = 1;
  EXPECT_TRUE(plan_rollout(input(1, {stuck, stuck_too})).create.empty());
  stuck.overdue = true;
  stuck_too.overdue = true;
  EXPECT_EQ(plan_rollout(input(1, {stuck, stuck_too})).create.size(), 1U);
}

TEST(Rollout, MovesAGroupOutOfAZoneThatTheSpecNoLongerNames) {
  RolloutInput moved = input(1, {facts("a", 0, true, "x")});
  moved.supply.zones = {{"y", 10}};
  const RolloutPlan plan = plan_rollout(moved);
  ASSERT_EQ(plan.create.size(), 1U);
  EXPECT_EQ(plan.create[0].zone, "y");
  EXPECT_THAT(plan.retire, IsEmpty());
}

}  // namespace
}  // namespace millrace::controller
