#include "operator/plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using common::AgentPhase;
using std::chrono::seconds;
using testing::GroupBuilder;
using testing::kNow;

Plan plan_for(int replicas, std::vector<GroupView> groups, const std::string& revision = "r1", int pods = 1) {
  Spec spec;
  spec.replicas = replicas;
  spec.parallelism.tensor = pods;
  return plan("m", spec, revision, {std::move(groups), {}, {}}, kNow);
}

TEST(Plan, CreatesEveryPodOfAGroup) {
  const Plan result = plan_for(1, {}, "r1", 2);
  ASSERT_EQ(result.create.size(), 2U);
  EXPECT_EQ(result.create[1].group, "m-r1-0");
  EXPECT_EQ(result.create[1].pod_index, 1);
}

TEST(Plan, OpensTheGatesOfAGroupThatServes) {
  const Plan result = plan_for(1, {GroupBuilder("r1", 0, 2).serving().build()}, "r1", 2);
  ASSERT_EQ(result.gates.size(), 2U);
  EXPECT_TRUE(result.gates[0].open);
}

TEST(Plan, OpensNoGateThatThePodDoesNotHave) {
  GroupBuilder group = GroupBuilder("r1", 0, 2).serving();
  group.set([](GroupView& view) { view.pods[1].gated = false; });
  const Plan result = plan_for(1, {group.build()}, "r1", 2);
  ASSERT_EQ(result.gates.size(), 1U);
  EXPECT_EQ(result.gates[0].name, "m-r1-0-0");
}

TEST(Plan, HasNothingToDoForAFinishedDeployment) {
  const Plan result = plan_for(1, {GroupBuilder().routed().build()});
  EXPECT_FALSE(result.moves_groups());
  EXPECT_TRUE(result.gates.empty());
  EXPECT_EQ(result.look_again.count(), 0);
}

TEST(Plan, ClosesTheGateWhenTheAgentNoLongerServes) {
  const Plan result = plan_for(1, {GroupBuilder().routed().agents(AgentPhase::kFailed).build()});
  ASSERT_EQ(result.gates.size(), 1U);
  EXPECT_FALSE(result.gates[0].open);
}

TEST(Plan, KeepsTheGateOpenWhenOnlyTheOperatorCannotSeeTheAgent) {
  GroupBuilder group = GroupBuilder().routed();
  group.set([](GroupView& view) { view.pods[0].evidence->age = std::chrono::minutes(2); });
  EXPECT_TRUE(plan_for(1, {group.build()}).gates.empty());
}

TEST(Plan, WritesNoClosedGateOnAGroupThatNeverServed) {
  EXPECT_TRUE(plan_for(1, {GroupBuilder().loading().build()}).gates.empty());
}

TEST(Plan, MarksEveryPodOfARetiredGroup) {
  const Plan result = plan_for(0, {GroupBuilder("r1", 0, 2).routed().build()}, "r1", 2);
  EXPECT_EQ(result.retire.size(), 2U);
  EXPECT_TRUE(result.erase.empty());
}

TEST(Plan, CompletesAMarkThatReachedOnlySomePods) {
  GroupBuilder group = GroupBuilder("r1", 0, 2).routed().retiring(seconds(1));
  group.set([](GroupView& view) { view.pods[1].retiring_since.reset(); });
  const Plan result = plan_for(0, {group.build()}, "r1", 2);
  ASSERT_EQ(result.retire.size(), 1U);
  EXPECT_EQ(result.retire[0].name, "m-r1-0-1");
}

TEST(Plan, TellsAgentsToDrainAndDeletesWhenTheyAreEmpty) {
  const GroupBuilder in_traffic = GroupBuilder().routed().retiring(seconds(10));
  EXPECT_TRUE(plan_for(0, {in_traffic.build()}).draining.empty());
  EXPECT_EQ(plan_for(0, {in_traffic.build()}).gates.size(), 1U);
  const GroupBuilder busy = GroupBuilder().unrouted().agents(AgentPhase::kDraining, 1).retiring(seconds(10));
  EXPECT_EQ(plan_for(0, {busy.build()}).draining.size(), 1U);
  EXPECT_TRUE(plan_for(0, {busy.build()}).erase.empty());
  const GroupBuilder empty = GroupBuilder().unrouted().agents(AgentPhase::kDraining, 0).retiring(seconds(10));
  ASSERT_EQ(plan_for(0, {empty.build()}).erase.size(), 1U);
}

TEST(Plan, MakesAMissingPodOfAWantedGroupAnew) {
  GroupBuilder group("r1", 0, 2);
  group.routed().set([](GroupView& view) { view.pods.pop_back(); });
  const Plan result = plan_for(1, {group.build()}, "r1", 2);
  ASSERT_EQ(result.create.size(), 1U);
  EXPECT_EQ(result.create[0].pod_index, 1);
  EXPECT_EQ(result.gates.size(), 1U) << "a group without all pods gets no traffic";
}

TEST(Plan, DeletesAnEndedPodSoThatItIsMadeAnewButNotInAHurry) {
  GroupBuilder group;
  group.set([](GroupView& view) { view.pods[0].phase = "Failed"; });
  EXPECT_EQ(plan_for(1, {group.build()}).erase.size(), 1U);
  group.set([](GroupView& view) { view.pods[0].created = kNow - seconds(4); });
  const Plan result = plan_for(1, {group.build()});
  EXPECT_TRUE(result.erase.empty());
  EXPECT_EQ(result.look_again, seconds(6));
}

TEST(Plan, ReplacesAGroupWhosePodsSomebodyElseDeletes) {
  GroupBuilder group;
  group.routed().set([](GroupView& view) { view.pods[0].gone_by = kNow + seconds(300); });
  const Plan result = plan_for(1, {group.build()});
  ASSERT_EQ(result.create.size(), 1U);
  EXPECT_EQ(result.create[0].group, "m-r1-1");
}

}  // namespace
}  // namespace millrace::controller
