// What the state of a zone does to the groups in it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/plan/plan.h"
#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using std::chrono::seconds;
using testing::GroupBuilder;
using ::testing::HasSubstr;
using testing::kNow;
using testing::node_in;

class Failover : public ::testing::Test {
 protected:
  Plan plan_for(std::int32_t replicas) {
    spec.replicas = replicas;
    return plan("m", spec, "r1", observed, kNow);
  }
  void state(const std::string& zone, ZoneState state) { observed.zones[zone] = {state, kNow, {}, "it is said"}; }
  // A routed group.
  void group(int index, const std::string& zone) {
    observed.groups.push_back(GroupBuilder("r1", index).routed().zone(zone).build());
  }
  void silence(int index) { observed.groups[static_cast<std::size_t>(index)].pods[0].evidence->age = seconds(60); }

  Spec spec;
  Observed observed{{}, {node_in("a"), node_in("b"), node_in("c")}, {}};
};

TEST_F(Failover, AZoneInDoubtLosesTrafficAndKeepsItsGroups) {
  group(0, "a");
  group(1, "b");
  silence(0);
  state("a", ZoneState::kSuspect);
  const Plan result = plan_for(2);
  ASSERT_EQ(result.gates.size(), 1U);
  EXPECT_EQ(result.gates[0].name, "m-r1-0-0");
  EXPECT_FALSE(result.gates[0].open);
  EXPECT_EQ(result.gates[0].reason, "ZoneInDoubt");
  EXPECT_TRUE(result.gates[0].for_kubelet);
  EXPECT_FALSE(result.moves_groups());
}

TEST_F(Failover, ADoubtIsSaidForAKubeletThatMayBeCutOffUntilThePodIsNotReady) {
  group(0, "a");
  group(1, "b");
  state("a", ZoneState::kSuspect);
  EXPECT_TRUE(plan_for(2).gates.at(0).for_kubelet);
  PodView& pod = observed.groups[0].pods[0];
  pod.gate = false;
  ASSERT_EQ(plan_for(2).gates.size(), 1U) << "whoever closed the gate, requests still come";
  EXPECT_TRUE(plan_for(2).gates[0].for_kubelet);
  pod.ready = false;
  EXPECT_TRUE(plan_for(2).gates.empty());
}

TEST_F(Failover, AGroupThatFallsSilentAloneLosesTrafficWhileAnotherAnswers) {
  group(0, "a");
  group(1, "b");
  AgentEvidence& leader = *observed.groups[0].pods[0].evidence;
  leader.error = "timed out";
  leader.age = seconds(2);
  Plan result = plan_for(2);
  EXPECT_TRUE(result.gates.empty());
  EXPECT_EQ(result.look_again, seconds(1));
  leader.age = seconds(3);
  result = plan_for(2);
  ASSERT_EQ(result.gates.size(), 1U);
  EXPECT_EQ(result.gates[0].name, "m-r1-0-0");
  EXPECT_EQ(result.gates[0].reason, "Silent");
  EXPECT_TRUE(result.gates[0].for_kubelet);
  EXPECT_FALSE(result.moves_groups());
  leader.error.clear();
  EXPECT_TRUE(plan_for(2).gates.empty()) << "an old answer that nothing contradicts";
}

TEST_F(Failover, SilenceOfAllGroupsIsOurOwnTrouble) {
  for (int i = 0; i < 2; ++i) {
    group(i, "a");
    observed.groups.back().pods[0].evidence->error = "timed out";
    silence(i);
  }
  EXPECT_TRUE(plan_for(2).gates.empty());
}

TEST_F(Failover, ADoubtThatPassesGivesTrafficBack) {
  group(0, "a");
  group(1, "b");
  observed.groups[0].pods[0].gate = false;
  state("a", ZoneState::kHealthy);
  const Plan result = plan_for(2);
  ASSERT_EQ(result.gates.size(), 1U);
  EXPECT_TRUE(result.gates[0].open);
}

TEST_F(Failover, TrafficStaysWhereItIsWhenThereIsNowhereElseToGo) {
  group(0, "a");
  group(1, "a");
  state("a", ZoneState::kSuspect);
  EXPECT_TRUE(plan_for(2).gates.empty());
}

TEST_F(Failover, GroupsOfAFailedZoneAreReplacedAtOnceInOthers) {
  group(0, "a");
  group(1, "b");
  group(2, "c");
  silence(0);
  state("a", ZoneState::kFailed);
  const Plan result = plan_for(3);
  ASSERT_EQ(result.erase.size(), 1U) << "nothing waits for agents that cannot answer";
  EXPECT_EQ(result.erase[0].name, "m-r1-0-0");
  EXPECT_THAT(result.erase[0].reason, HasSubstr("zone a has failed"));
  ASSERT_EQ(result.create.size(), 1U);
  EXPECT_EQ(result.create[0].group, "m-r1-3");
  EXPECT_NE(result.create[0].zone, "a");
}

TEST_F(Failover, SeveralLostGroupsAreReplacedTogether) {
  for (int i = 0; i < 3; ++i) group(i, "a");
  group(3, "b");
  state("a", ZoneState::kFailed);
  EXPECT_EQ(plan_for(4).create.size(), 3U);
}

TEST_F(Failover, PodsThatCannotEndAreNotWaitedFor) {
  group(0, "a");
  group(1, "b");
  observed.groups[0].pods[0].gone_by = kNow + seconds(300);
  state("a", ZoneState::kFailed);
  EXPECT_EQ(plan_for(2).create.size(), 1U);
  group(3, "c");
  EXPECT_FALSE(plan_for(2).moves_groups()) << "once replaced";
  EXPECT_EQ(plan_for(2).look_again.count(), 0);
}

TEST_F(Failover, ARecoveringZoneServesAndGetsNothingNew) {
  group(0, "b");
  state("a", ZoneState::kRecovering);
  state("c", ZoneState::kRecovering);
  const Plan result = plan_for(2);
  ASSERT_EQ(result.create.size(), 1U);
  EXPECT_EQ(result.create[0].zone, "b");
}

TEST_F(Failover, GroupsStayWhenTheirNodesOnlyTakeNothingNew) {
  group(0, "a");
  group(1, "b");
  observed.nodes[0].schedulable = false;
  EXPECT_FALSE(plan_for(2).moves_groups());
}

TEST_F(Failover, WithoutAReserveTheGroupsOfAFailedZoneWaitForIt) {
  spec.failover.reserve = Reserve::kNone;
  group(0, "a");
  group(1, "b");
  group(2, "c");
  state("a", ZoneState::kFailed);
  observed.nodes[0].schedulable = false;
  const Plan lost = plan_for(3);
  EXPECT_EQ(lost.erase.size(), 1U);
  EXPECT_TRUE(lost.create.empty());
  EXPECT_EQ(lost.waiting, (std::map<std::string, std::int32_t>{{"a", 1}}));
  observed.groups.erase(observed.groups.begin());
  EXPECT_TRUE(plan_for(3).create.empty());
  const Plan scaled = plan_for(4);
  ASSERT_EQ(scaled.create.size(), 1U) << "what does not belong to the failed zone is made";
  EXPECT_EQ(scaled.create[0].zone, "b");
  state("a", ZoneState::kHealthy);
  observed.nodes[0].schedulable = true;
  const Plan back = plan_for(3);
  ASSERT_EQ(back.create.size(), 1U);
  EXPECT_EQ(back.create[0].zone, "a");
}

TEST_F(Failover, TheSpareZoneStaysEmptyUntilAnotherFails) {
  spec.failover.reserve = Reserve::kSpareZone;
  spec.zones = {"c", "b", "a"};  // the last one is the spare
  const Plan begin = plan_for(4);
  for (const CreatePod& pod : begin.create) EXPECT_NE(pod.zone, "a");
  group(0, "b");
  group(1, "c");
  group(2, "b");
  group(3, "c");
  EXPECT_FALSE(plan_for(4).moves_groups());
  state("c", ZoneState::kFailed);
  const Plan failed = plan_for(4);
  ASSERT_EQ(failed.create.size(), 2U);
  EXPECT_EQ(failed.create[0].zone, "a");
  EXPECT_EQ(failed.create[1].zone, "a");
}

}  // namespace
}  // namespace millrace::controller
