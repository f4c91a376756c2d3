#include "operator/plan/drain.h"

#include <gtest/gtest.h>

#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using common::AgentPhase;
using std::chrono::seconds;
using testing::GroupBuilder;
using testing::kNow;

constexpr seconds kLimit{300};

DrainStep step_of(const GroupBuilder& group, seconds limit = kLimit) {
  return plan_drain(group.build(), limit, kNow).step;
}

TEST(Drain, TellsRoutersBeforeItTellsTheAgent) {
  GroupBuilder group = GroupBuilder().routed().retiring(seconds(1));
  EXPECT_EQ(step_of(group), DrainStep::kUnroute);
  group.set([](GroupView& view) { view.pods[0].gate = false; });
  EXPECT_EQ(step_of(group), DrainStep::kDrain);
}

TEST(Drain, WaitsWhileRequestsRun) {
  EXPECT_EQ(step_of(GroupBuilder().unrouted().agents(AgentPhase::kDraining, 3).retiring(seconds(30))),
            DrainStep::kDrain);
}

TEST(Drain, WaitsWhileSomeRequestsStillComeLate) {
  GroupBuilder group = GroupBuilder().unrouted().agents(AgentPhase::kDraining, 0).retiring(seconds(3));
  group.set([](GroupView& view) { view.pods[0].evidence->status.accepting = true; });
  EXPECT_EQ(step_of(group), DrainStep::kDrain);
  group.set([](GroupView& view) { view.pods[0].evidence->status.accepting = false; });
  EXPECT_EQ(step_of(group), DrainStep::kDelete);
}

TEST(Drain, DoesNotTakeAnIdleAgentForADrainedOne) {
  EXPECT_EQ(step_of(GroupBuilder().unrouted().agents(AgentPhase::kServing, 0).retiring(seconds(30))),
            DrainStep::kDrain);
}

TEST(Drain, DeletesAnEmptyGroup) {
  EXPECT_EQ(step_of(GroupBuilder().unrouted().agents(AgentPhase::kDraining, 0).retiring(seconds(3))),
            DrainStep::kDelete);
}

TEST(Drain, DeletesWhenTheLimitHasPassed) {
  EXPECT_EQ(step_of(GroupBuilder().unrouted().agents(AgentPhase::kDraining, 3).retiring(kLimit)), DrainStep::kDelete);
  EXPECT_EQ(step_of(GroupBuilder().unrouted().retiring(seconds(0)), seconds(0)), DrainStep::kDelete);
}

TEST(Drain, DeletesAGroupThatNeverServedAtOnce) {
  EXPECT_EQ(step_of(GroupBuilder().loading().retiring(seconds(0))), DrainStep::kDelete);
}

TEST(Drain, GoesOnWaitingForAnAgentItCannotReachWhileItsNodeCallsItReady) {
  GroupBuilder group = GroupBuilder().unrouted().retiring(seconds(30));
  group.set([](GroupView& view) { view.pods[0].evidence->age = std::chrono::minutes(1); });
  EXPECT_EQ(step_of(group), DrainStep::kDrain);
  group.set([](GroupView& view) { view.pods[0].containers_ready = false; });
  EXPECT_EQ(step_of(group), DrainStep::kDelete);
}

}  // namespace
}  // namespace millrace::controller
