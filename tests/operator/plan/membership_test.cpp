#include "operator/plan/membership.h"

#include <gtest/gtest.h>

namespace millrace::controller {
namespace {

using common::AgentPhase;

MemberView member(int index, std::int64_t generation, AgentPhase phase = AgentPhase::kServing) {
  MemberView view;
  view.pod_index = index;
  view.ip = "10.0.0." + std::to_string(index);
  view.answered = true;
  view.status.generation = generation;
  view.status.phase = phase;
  return view;
}

const GroupShape kTwoPods{"m-r1-0", 4, 2, 2};

TEST(Membership, StartsWithGenerationOneWhenEveryMemberAnswers) {
  const auto next = next_membership(kTwoPods, {member(1, 0), member(0, 0)}, {});
  ASSERT_TRUE(next);
  EXPECT_EQ(next->generation, 1);
  EXPECT_EQ(next->tensor_parallel, 4);
  EXPECT_EQ(next->ranks_per_pod, 2);
  ASSERT_EQ(next->peers.size(), 2U);
  EXPECT_EQ(next->peers[0].pod_index, 0);
  EXPECT_EQ(next->peers[0].host, "10.0.0.0");
}

TEST(Membership, WaitsForMembersThatAreMissingOrSilent) {
  EXPECT_FALSE(next_membership(kTwoPods, {member(0, 0)}, {}));
  MemberView silent = member(1, 0);
  silent.answered = false;
  EXPECT_FALSE(next_membership(kTwoPods, {member(0, 0), silent}, {}));
}

TEST(Membership, LeavesAGenerationInForceAlone) {
  EXPECT_FALSE(next_membership(kTwoPods, {member(0, 3), member(1, 3)}, {}));
}

TEST(Membership, GivesEverybodyANewGenerationWhenOneMemberRestarted) {
  const auto next = next_membership(kTwoPods, {member(0, 3), member(1, 0)}, {3, true, false});
  ASSERT_TRUE(next);
  EXPECT_EQ(next->generation, 4);
}

TEST(Membership, StartsAFailedGroupAnewAfterAPause) {
  const std::vector<MemberView> members{member(0, 3, AgentPhase::kFailed), member(1, 3)};
  EXPECT_FALSE(next_membership(kTwoPods, members, {3, true, false}));
  ASSERT_TRUE(next_membership(kTwoPods, members, {}));
}

TEST(Membership, GivesABusyMemberTimeToTakeUpTheLastOne) {
  const std::vector<MemberView> members{member(0, 3, AgentPhase::kLoading), member(1, 4)};
  EXPECT_FALSE(next_membership(kTwoPods, members, {4, true, false}));
  const auto next = next_membership(kTwoPods, members, {4, true, true});
  ASSERT_TRUE(next);
  EXPECT_EQ(next->generation, 5);
}

TEST(Membership, NeverGoesBackBehindWhatWasPushed) {
  const auto next = next_membership(kTwoPods, {member(0, 3), member(1, 0)}, {7, true, false});
  ASSERT_TRUE(next);
  EXPECT_EQ(next->generation, 8);
}

TEST(Membership, DoesNotDisturbAGroupThatDrains) {
  EXPECT_FALSE(next_membership(kTwoPods, {member(0, 3, AgentPhase::kDraining), member(1, 0)}, {}));
}

}  // namespace
}  // namespace millrace::controller
