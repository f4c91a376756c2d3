#include "operator/plan/rollout_target.h"

#include <gtest/gtest.h>

namespace millrace::controller {
namespace {

RolloutSpec limits(IntOrPercent surge, IntOrPercent unavailable) {
  RolloutSpec spec;
  spec.max_surge = surge;
  spec.max_unavailable = unavailable;
  return spec;
}

TargetInput target_input(std::int32_t replicas) {
  TargetInput result;
  result.replicas = replicas;
  result.update = {"b", 0, 2};
  result.stable = {"a", 0, 4};
  return result;
}

std::string text(const RolloutTarget& target) {
  std::string result = target.frozen ? "frozen" : "";
  for (const Share& share : target.shares) {
    result += (result.empty() ? "" : " ") + share.revision + "=" + std::to_string(share.groups);
  }
  return result;
}

TEST(Budgets, RoundSurgeUpAndUnavailableDown) {
  const Budgets budgets = budgets_of(limits({25, true}, {25, true}), 5);
  EXPECT_EQ(budgets.surge, 2);
  EXPECT_EQ(budgets.unavailable, 1);
}

TEST(Budgets, LetOneGroupBeUnavailableWhenBothComeToZero) {
  const Budgets budgets = budgets_of(limits({0, false}, {10, true}), 3);
  EXPECT_EQ(budgets.surge, 0);
  EXPECT_EQ(budgets.unavailable, 1);
}

TEST(Budgets, SurgeByOneGroupWhenNothingIsSaid) {
  const Budgets budgets = budgets_of({}, 3);
  EXPECT_EQ(budgets.surge, 1);
  EXPECT_EQ(budgets.unavailable, 0);
}

TEST(RolloutTarget, IsTheAskedRevisionWhenNoneIsStableYet) {
  TargetInput first = target_input(3);
  first.stable = {};
  first.partition = 2;
  EXPECT_EQ(text(target_of(first)), "b=3");
}

TEST(RolloutTarget, KeepsAPartitionStableButNoMoreThanThereAreReplicas) {
  TargetInput kept = target_input(3);
  kept.partition = 2;
  EXPECT_EQ(text(target_of(kept)), "a=2 b=1");
  kept.partition = 9;
  EXPECT_EQ(text(target_of(kept)), "a=3 b=0");
}

TEST(RolloutTarget, PutsACanaryIntoTheSurgeFirst) {
  TargetInput canary = target_input(4);
  canary.canary = 2;
  EXPECT_EQ(text(target_of(canary)), "a=3 b=2");
  canary.budgets = {2, 0};
  EXPECT_EQ(text(target_of(canary)), "a=4 b=2");
  canary.budgets = {0, 1};
  EXPECT_EQ(text(target_of(canary)), "a=2 b=2");
}

TEST(RolloutTarget, GoesBackWholeAfterAFailedCanary) {
  TargetInput failed = target_input(4);
  failed.rolled_back = true;
  failed.partition = 1;
  EXPECT_EQ(text(target_of(failed)), "a=4 b=0");
}

TEST(RolloutTarget, FreezesWhenPaused) {
  TargetInput paused = target_input(4);
  paused.paused = true;
  paused.canary = 1;
  EXPECT_EQ(text(target_of(paused)), "frozen a=4 b=0");
}

TEST(RolloutTarget, KnowsTheShapeOfEachRevision) {
  TargetInput kept = target_input(3);
  kept.partition = 1;
  EXPECT_EQ(target_of(kept).share("a")->pods_per_group, 4);
  EXPECT_EQ(target_of(kept).share("b")->pods_per_group, 2);
}

}  // namespace
}  // namespace millrace::controller
