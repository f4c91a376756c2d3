#include "operator/plan/moves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/plan/plan.h"
#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::GroupBuilder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kNow;

NodeView noticed_node(const std::string& name, NodeNotice::Kind kind = NodeNotice::Kind::kNone) {
  NodeView view;
  view.name = name;
  view.allocatable = {{"cpu", "64"}};
  view.schedulable = kind == NodeNotice::Kind::kNone;
  if (kind != NodeNotice::Kind::kNone) view.notice = {kind, "node " + name + " goes", "taint-of-" + name};
  return view;
}

GroupView on_node(int index, const std::string& node, bool routed = true) {
  GroupBuilder group("r1", index);
  if (routed) group.routed();
  return group.set([&](GroupView& view) { view.pods[0].node = node; }).build();
}

class Moves : public ::testing::Test {
 protected:
  Moves() { input.target.shares = {{"r1", 3}}; }

  MovesPlan plan() {
    input.spec.replicas = 3;
    input.supply = supply_of(input.spec, input.nodes);
    return plan_moves(input.view(), kNow);
  }
  std::vector<std::string> avoided() const { return nodes_to_avoid(input.groups, input.nodes, input.memory); }
  std::vector<std::string> moving() {
    std::vector<std::string> names;
    for (const Move& move : plan().moves) names.push_back(move.group);
    return names;
  }

  testing::GivenMoves input;
};

TEST_F(Moves, NothingMovesWhileAllNodesStay) {
  input.nodes = {noticed_node("n1")};
  input.groups = {on_node(0, "n1"), on_node(1, "n1")};
  EXPECT_THAT(moving(), IsEmpty());
}

TEST_F(Moves, GroupsLeaveACordonedNodeOneAtATime) {
  input.nodes = {noticed_node("n1", NodeNotice::Kind::kCordoned), noticed_node("n2")};
  input.groups = {on_node(0, "n1"), on_node(1, "n1"), on_node(2, "n2")};
  const MovesPlan result = plan();
  ASSERT_EQ(result.moves.size(), 1U);
  EXPECT_EQ(result.moves[0].group, "m-r1-0");
  EXPECT_EQ(result.moves[0].reason, "NodeLeaving");
  EXPECT_EQ(result.moves[0].message, "node n1 goes");
  EXPECT_EQ(result.moves[0].urgency, Urgency::kInBudget);
}

TEST_F(Moves, AllGroupsLeaveANodeThatIsAnnouncedToGo) {
  input.nodes = {noticed_node("n1", NodeNotice::Kind::kAnnounced), noticed_node("n2")};
  input.groups = {on_node(0, "n1"), on_node(1, "n1"), on_node(2, "n2")};
  EXPECT_THAT(moving(), ElementsAre("m-r1-0", "m-r1-1"));
}

TEST_F(Moves, AGroupOnANodeThatIsLostInAMomentIsDrainedAtOnceWhenAnotherServes) {
  input.nodes = {noticed_node("n1", NodeNotice::Kind::kImminent), noticed_node("n2")};
  input.groups = {on_node(0, "n1"), on_node(1, "n2")};
  EXPECT_EQ(plan().moves.at(0).urgency, Urgency::kAtOnce);
  input.groups[1].pods[0].gate = false;
  EXPECT_EQ(plan().moves.at(0).urgency, Urgency::kInBudget) << "better served until the end than not at all";
}

TEST_F(Moves, WhatToleratesTheTaintStays) {
  input.nodes = {noticed_node("n1", NodeNotice::Kind::kCordoned)};
  input.groups = {on_node(0, "n1")};
  for (const Json& toleration :
       {Json{{"operator", "Exists"}}, Json{{"key", "taint-of-n1"}, {"effect", "NoSchedule"}}}) {
    input.spec.pod_template.tolerations = Json::array({toleration});
    EXPECT_THAT(moving(), IsEmpty()) << toleration;
  }
  for (const Json& toleration :
       {Json{{"key", "other"}, {"operator", "Exists"}}, Json{{"operator", "Exists"}, {"effect", "NoExecute"}}}) {
    input.spec.pod_template.tolerations = Json::array({toleration});
    EXPECT_THAT(moving(), ElementsAre("m-r1-0")) << toleration;
  }
}

TEST_F(Moves, NothingIsStoppedForANodeThatIsMerelyCordonedWhenNoOtherWouldTakeIt) {
  input.nodes = {noticed_node("n1", NodeNotice::Kind::kCordoned)};
  input.groups = {on_node(0, "n1")};
  EXPECT_THAT(moving(), ElementsAre("m-r1-0")) << "with a surge the successor is asked for first";
  input.spec.rollout.max_surge = {0, false};
  input.spec.rollout.max_unavailable = {1, false};
  EXPECT_THAT(moving(), IsEmpty());
}

TEST_F(Moves, GroupsThatRetireOrEndDoNotMove) {
  input.nodes = {noticed_node("n1", NodeNotice::Kind::kAnnounced)};
  input.groups = {GroupBuilder("r1", 0).routed().retiring(seconds(5)).build()};
  EXPECT_THAT(moving(), IsEmpty());
}

TEST_F(Moves, AGroupThatFailsLeavesABadNodeAndOneThatServesStays) {
  input.nodes = {noticed_node("n1"), noticed_node("n2")};
  input.memory.bad_nodes = {{"n1", "pod x: CrashLoopBackOff"}};
  input.groups = {on_node(0, "n1", false), on_node(1, "n1"), on_node(2, "n2")};
  const MovesPlan result = plan();
  ASSERT_EQ(result.moves.size(), 1U);
  EXPECT_EQ(result.moves[0].group, "m-r1-0");
  EXPECT_EQ(result.moves[0].reason, "BadNode");
  EXPECT_THAT(result.moves[0].message, HasSubstr("CrashLoopBackOff"));
  EXPECT_THAT(avoided(), ElementsAre("n1"));
}

TEST_F(Moves, ARevisionThatFailsOnManyNodesIsNotBlamedOnThem) {
  input.memory.bad_nodes = {{"n1", ""}, {"n2", ""}, {"n3", ""}};
  input.groups = {on_node(0, "n1", false), on_node(1, "n2", false)};
  EXPECT_THAT(plan().moves, IsEmpty());
  EXPECT_THAT(avoided(), IsEmpty());
  input.groups.push_back(on_node(2, "n4"));
  EXPECT_EQ(plan().moves.size(), 2U) << "one that serves elsewhere is proof";
}

TEST_F(Moves, NewPodsAvoidANodeThatIsBeingDeleted) {
  input.nodes = {noticed_node("n1", NodeNotice::Kind::kAnnounced), noticed_node("n2", NodeNotice::Kind::kAnnounced),
                 noticed_node("n3")};
  input.nodes[0].notice.taint.clear();
  EXPECT_THAT(avoided(), ElementsAre("n1")) << "the scheduler itself avoids tainted ones";
}

// The whole plan: successor first, then the drain.
TEST(MovesInThePlan, TheSuccessorServesBeforeTheGroupLeaves) {
  Spec spec;
  spec.replicas = 1;
  Observed observed{{on_node(0, "n1")}, {noticed_node("n1", NodeNotice::Kind::kCordoned), noticed_node("n2")}, {}};
  const Plan first = plan("m", spec, "r1", observed, kNow);
  EXPECT_THAT(first.retire, IsEmpty());
  ASSERT_EQ(first.create.size(), 1U);
  EXPECT_EQ(first.create[0].group, "m-r1-1");
  observed.groups.push_back(on_node(1, "n2", false));
  EXPECT_FALSE(plan("m", spec, "r1", observed, kNow).moves_groups());
  observed.groups[1] = on_node(1, "n2");
  const Plan last = plan("m", spec, "r1", observed, kNow);
  ASSERT_EQ(last.retire.size(), 1U);
  EXPECT_EQ(last.retire[0].group, "m-r1-0");
  EXPECT_EQ(last.retire[0].reason, "node n1 goes");
}

}  // namespace
}  // namespace millrace::controller
