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

RolloutInput rollout_input(int replicas, std::vector<GroupFacts> groups, const std::string& revision = "a") {
  RolloutInput result;
  result.replicas = replicas;
  result.target.shares = {{revision, replicas}};
  result.groups = std::move(groups);
  return result;
}

TEST(Rollout, MakesEveryGroupAtOnceAtTheStart) {
  const RolloutPlan plan = plan_rollout(rollout_input(3, {}));
  ASSERT_EQ(plan.create.size(), 3U);
  EXPECT_EQ(plan.create[2].index, 2);
  EXPECT_THAT(plan.retire, IsEmpty());
}

TEST(Rollout, LeavesAFinishedDeploymentAlone) {
  EXPECT_TRUE(plan_rollout(rollout_input(2, {facts("a", 0, true), facts("a", 1, true)})).empty());
}

TEST(Rollout, SurgesByOneGroupForANewRevision) {
  const RolloutPlan plan =
      plan_rollout(rollout_input(3, {facts("a", 0, true), facts("a", 1, true), facts("a", 2, true)}, "b"));
  EXPECT_EQ(plan.create.size(), 1U);
  EXPECT_THAT(plan.retire, IsEmpty());
}

TEST(Rollout, WaitsForTheNewGroupBeforeItRetiresAnOldOne) {
  const std::vector<GroupFacts> loading{facts("a", 0, true), facts("a", 1, true), facts("b", 0, false)};
  EXPECT_TRUE(plan_rollout(rollout_input(2, loading, "b")).empty());
  const std::vector<GroupFacts> routed{facts("a", 0, true), facts("a", 1, true), facts("b", 0, true)};
  EXPECT_THAT(retired(plan_rollout(rollout_input(2, routed, "b"))), ElementsAre("m-a-1"));
}

TEST(Rollout, CountsAGroupThatStillDrainsAgainstTheSurge) {
  GroupFacts draining = facts("a", 1, false);
  draining.life = GroupFacts::Life::kRetiring;
  EXPECT_TRUE(plan_rollout(rollout_input(2, {facts("a", 0, true), draining, facts("b", 0, true)}, "b")).empty());
}

TEST(Rollout, KeepsTheGroupsThatServeWhenAnEditIsRevertedHalfWay) {
  const RolloutPlan plan = plan_rollout(
      rollout_input(3, {facts("a", 0, true), facts("a", 1, true), facts("a", 2, true), facts("b", 0, false)}));
  EXPECT_THAT(retired(plan), ElementsAre("m-b-0"));
  EXPECT_THAT(plan.create, IsEmpty());
}

TEST(Rollout, ReplacesABrokenRevisionWithoutWaitingForIt) {
  const RolloutPlan plan = plan_rollout(rollout_input(1, {facts("a", 0, false)}, "b"));
  EXPECT_THAT(retired(plan), ElementsAre("m-a-0"));
  EXPECT_EQ(plan.create.size(), 1U);
}

TEST(Rollout, GivesAnOldGroupThatLostItsRouteTimeToComeBack) {
  GroupFacts lost = facts("a", 0, false);
  lost.was_routable = true;
  EXPECT_THAT(plan_rollout(rollout_input(1, {lost}, "b")).retire, IsEmpty());
  lost.lost_long = true;
  EXPECT_THAT(retired(plan_rollout(rollout_input(1, {lost}, "b"))), ElementsAre("m-a-0"));
}

TEST(Rollout, ScalesDownGroupsThatDoNotServeFirst) {
  const RolloutPlan plan =
      plan_rollout(rollout_input(2, {facts("a", 0, false), facts("a", 1, true), facts("a", 2, true)}));
  EXPECT_THAT(retired(plan), ElementsAre("m-a-0"));
}

TEST(Rollout, ScalesDownInTheFullestZone) {
  const RolloutPlan plan =
      plan_rollout(rollout_input(2, {facts("a", 0, true, "x"), facts("a", 1, true, "y"), facts("a", 2, true, "x")}));
  EXPECT_THAT(retired(plan), ElementsAre("m-a-2"));
}

TEST(Rollout, ScalesToZero) {
  EXPECT_EQ(plan_rollout(rollout_input(0, {facts("a", 0, true), facts("a", 1, false)})).retire.size(), 2U);
}

TEST(Rollout, FillsTheLowestFreeIndex) {
  GroupFacts leaving = facts("a", 0, false);
  leaving.life = GroupFacts::Life::kTerminating;
  const RolloutPlan plan = plan_rollout(rollout_input(2, {leaving, facts("a", 2, true)}));
  ASSERT_EQ(plan.create.size(), 1U);
  EXPECT_EQ(plan.create[0].index, 1);
}

TEST(Rollout, DoesNotWaitForAPodWhoseNodeIsSilent) {
  GroupFacts stuck = facts("a", 0, false);
  stuck.life = GroupFacts::Life::kTerminating;
  GroupFacts stuck_too = stuck;
  stuck_too.index = 1;
  EXPECT_TRUE(plan_rollout(rollout_input(1, {stuck, stuck_too})).create.empty());
  stuck.overdue = true;
  stuck_too.overdue = true;
  EXPECT_EQ(plan_rollout(rollout_input(1, {stuck, stuck_too})).create.size(), 1U);
}

TEST(Rollout, MovesAGroupOutOfAZoneThatTheSpecNoLongerNames) {
  RolloutInput moved = rollout_input(1, {facts("a", 0, true, "x")});
  moved.supply.zones = {{"y", 10}};
  const RolloutPlan plan = plan_rollout(moved);
  ASSERT_EQ(plan.create.size(), 1U);
  EXPECT_EQ(plan.create[0].zone, "y");
  EXPECT_THAT(plan.retire, IsEmpty());
}

RolloutInput split(int replicas, std::vector<GroupFacts> groups, std::vector<Share> shares, Budgets budgets = {}) {
  RolloutInput result = rollout_input(replicas, std::move(groups));
  result.target.shares = std::move(shares);
  result.budgets = budgets;
  return result;
}

GroupFacts preempted(const std::string& revision, int index) {
  GroupFacts group = facts(revision, index, false);
  group.was_routable = true;
  group.incomplete = true;
  return group;
}

TEST(Rollout, WithoutASpareDeviceRetiresOneGroupAndWaitsUntilItIsGone) {
  RolloutInput tight = rollout_input(2, {facts("a", 0, true), facts("a", 1, true)}, "b");
  tight.budgets = {0, 1};
  const RolloutPlan first = plan_rollout(tight);
  EXPECT_THAT(retired(first), ElementsAre("m-a-1"));
  EXPECT_THAT(first.create, IsEmpty()) << "the old group still holds the devices";
  tight.groups[1].life = GroupFacts::Life::kTerminating;
  tight.groups[1].routable = false;
  EXPECT_TRUE(plan_rollout(tight).empty());
  tight.groups.pop_back();
  EXPECT_EQ(plan_rollout(tight).create.size(), 1U);
}

TEST(Rollout, TakesOutOnlyOneGroupUntilTheNewRevisionHasShownThatItServes) {
  RolloutInput bold =
      rollout_input(4, {facts("a", 0, true), facts("a", 1, true), facts("a", 2, true), facts("a", 3, true)}, "b");
  bold.budgets = {0, 3};
  EXPECT_THAT(retired(plan_rollout(bold)), ElementsAre("m-a-3"));
  bold.groups[3] = facts("b", 0, false);
  EXPECT_TRUE(plan_rollout(bold).empty());
  bold.groups[3].routable = true;
  EXPECT_EQ(plan_rollout(bold).retire.size(), 3U);
}

TEST(Rollout, ScalesDownWithoutWaitingForAProof) {
  RolloutInput fewer = rollout_input(1, {facts("a", 0, true), facts("a", 1, true), facts("a", 2, true)}, "b");
  fewer.budgets = {0, 1};
  EXPECT_EQ(plan_rollout(fewer).retire.size(), 3U);
}

TEST(Rollout, MakesAsManyNewGroupsAtOnceAsTheSurgeAllows) {
  RolloutInput wide =
      rollout_input(4, {facts("a", 0, true), facts("a", 1, true), facts("a", 2, true), facts("a", 3, true)}, "b");
  wide.budgets = {3, 0};
  EXPECT_EQ(plan_rollout(wide).create.size(), 3U);
}

TEST(Rollout, KeepsThePartitionOnTheStableRevision) {
  const std::vector<GroupFacts> groups{facts("a", 0, true), facts("a", 1, true), facts("b", 0, true)};
  EXPECT_TRUE(plan_rollout(split(3, groups, {{"a", 2}, {"b", 1}})).empty());
}

TEST(Rollout, PausedNeitherMakesNorRetiresForTheSakeOfARevision) {
  RolloutInput paused = split(2, {facts("a", 0, true), facts("b", 0, true)}, {{"a", 2}, {"c", 0}});
  paused.target.frozen = true;
  EXPECT_TRUE(plan_rollout(paused).empty());
  paused.groups.pop_back();
  const RolloutPlan lost_one = plan_rollout(paused);
  ASSERT_EQ(lost_one.create.size(), 1U);
  EXPECT_EQ(lost_one.create[0].revision, "a");
}

// What went wrong in other operators; each name tells what happens here instead.

// A new generation looked ready before anything could route to it, and the last old one went.
TEST(KnownFailures, TheLastOldGroupStaysUntilTheNewOneIsRoutableNotMerelyReady) {
  GroupFacts ready = facts("b", 0, false);
  EXPECT_TRUE(plan_rollout(rollout_input(1, {facts("a", 0, true), ready}, "b")).empty());
}

// Three edits within seconds restarted every decoder at once.
TEST(KnownFailures, ThreeQuickEditsNeverTouchWhatServes) {
  std::vector<GroupFacts> groups{facts("a", 0, true), facts("a", 1, true), facts("a", 2, true)};
  for (const char* revision : {"b", "c", "d"}) {
    const RolloutPlan plan = plan_rollout(rollout_input(3, groups, revision));
    for (const std::string& name : retired(plan)) EXPECT_THAT(name, ::testing::Not(::testing::StartsWith("m-a-")));
    for (GroupFacts& group : groups) {
      if (group.revision != "a") group.life = GroupFacts::Life::kRetiring;
    }
    for (const NewGroup& group : plan.create) groups.push_back(facts(group.revision, group.index, false));
    EXPECT_LE(groups.size(), 4U);
  }
}

// A revert in the middle was read as "complete", and the generation that served was deleted.
TEST(KnownFailures, ARevertHalfWayDeletesOnlyWhatTheBudgetAllows) {
  const std::vector<GroupFacts> groups{facts("a", 0, true), facts("b", 0, true), facts("b", 1, true)};
  EXPECT_THAT(plan_rollout(rollout_input(3, groups, "a")).retire, IsEmpty());
  EXPECT_EQ(plan_rollout(rollout_input(3, groups, "a")).create.size(), 1U);
}

// Old groups that were being preempted were counted as serving; maxUnavailable was exceeded five times over.
TEST(KnownFailures, PreemptedGroupsUseUpTheBudgetBeforeASoundOneIsTouched) {
  RolloutInput four =
      rollout_input(4, {preempted("a", 0), preempted("a", 1), facts("a", 2, true), facts("a", 3, true)}, "b");
  four.budgets = {0, 1};
  EXPECT_THAT(retired(plan_rollout(four)), ElementsAre("m-a-1", "m-a-0"));
}

// Rapid changes of the number of replicas were taken for a new version: every pod was killed within seconds.
TEST(KnownFailures, ScalingInTheMiddleOfARolloutOnlyAddsOrRemovesTheDifference) {
  const std::vector<GroupFacts> groups{facts("a", 0, true), facts("a", 1, true), facts("b", 0, true)};
  for (const int replicas : {5, 4, 3})
    EXPECT_THAT(plan_rollout(rollout_input(replicas, groups, "b")).retire, IsEmpty());
  EXPECT_EQ(plan_rollout(rollout_input(2, groups, "b")).retire.size(), 1U);
}

// A rollout with a surge and a partition came to a stop, with gaps in the numbers of the groups.
TEST(KnownFailures, SurgeAndPartitionTogetherComeToAnEndAndFillTheGaps) {
  const std::vector<GroupFacts> groups{facts("a", 1, true), facts("b", 2, true)};
  const RolloutPlan plan = plan_rollout(split(3, groups, {{"a", 2}, {"b", 1}}));
  ASSERT_EQ(plan.create.size(), 1U);
  EXPECT_EQ(plan.create[0].revision, "a");
  EXPECT_EQ(plan.create[0].index, 0);
}

// During a partitioned update, an old leader was recreated and got workers of the new revision.
TEST(KnownFailures, AGroupLostInsideThePartitionIsMadeOfItsOwnRevision) {
  const RolloutPlan plan = plan_rollout(split(2, {facts("b", 0, true)}, {{"a", 1}, {"b", 1}}));
  ASSERT_EQ(plan.create.size(), 1U);
  EXPECT_EQ(plan.create[0].revision, "a");
}

// An upgrade needed twice the devices, and nobody had them.
TEST(KnownFailures, AnUpgradeNeverNeedsMoreThanTheSurge) {
  RolloutInput tight =
      rollout_input(4, {facts("a", 0, true), facts("a", 1, true), facts("a", 2, true), facts("a", 3, true)}, "b");
  tight.budgets = {0, 1};
  EXPECT_THAT(plan_rollout(tight).create, IsEmpty());
  EXPECT_EQ(plan_rollout(tight).retire.size(), 1U);
}

}  // namespace
}  // namespace millrace::controller
