#include "operator/plan/autoscale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/operator/plan/autoscale_driver.h"

namespace millrace::controller {
namespace {

using testing::AutoscaleDriver;
using testing::Behaviour;

Behaviour busy() {
  Behaviour behaviour;
  behaviour.arrivals = 2;
  behaviour.running = 10;
  behaviour.cache_use = 0.6;
  return behaviour;
}

Behaviour idle() {
  Behaviour behaviour;
  behaviour.tokens_per_second = 0;
  return behaviour;
}

// The table of docs/autoscaling.md, "What unusual inputs lead to", row by row.

TEST(AutoscaleTable, NoGroupServesHoldsAndIsNotActive) {
  AutoscaleDriver driver;
  driver.with(2, busy()).all([](Behaviour& group) { group.life = GroupLife::kCold; });
  const AutoscaleDecision decision = driver.run(300);
  EXPECT_EQ(decision.desired, 2);
  EXPECT_FALSE(decision.active);
  EXPECT_EQ(decision.reason, "NoServingGroups");
}

TEST(AutoscaleTable, EveryLoadAbsentHoldsAndIsNotActive) {
  AutoscaleDriver driver;
  driver.with(3, idle()).all([](Behaviour& group) { group.answers = false; });
  const AutoscaleDecision decision = driver.run(300);
  EXPECT_EQ(decision.desired, 3);
  EXPECT_FALSE(decision.active);
  EXPECT_EQ(decision.reason, "NoMetrics");
}

TEST(AutoscaleTable, EveryLoadStaleHoldsAndIsNotActive) {
  AutoscaleDriver driver;
  driver.with(3, busy()).run(90);
  driver.replicas = 3;
  driver.all([](Behaviour& group) { group.answers = false; });
  driver.run(4);  // not stale yet
  EXPECT_TRUE(driver.last.active);
  const AutoscaleDecision decision = driver.run(300);
  EXPECT_EQ(decision.desired, 3);
  EXPECT_EQ(decision.reason, "NoMetrics");
}

TEST(AutoscaleTable, OneSilentGroupForbidsScaleDown) {
  AutoscaleDriver driver;
  driver.with(4, idle());
  driver.groups["g0"].answers = false;
  EXPECT_EQ(driver.run(900).desired, 4);
  EXPECT_EQ(driver.last.inputs.silent, 1);
}

TEST(AutoscaleTable, OneSilentGroupDoesNotForbidScaleUp) {
  AutoscaleDriver driver;
  driver.with(3, busy());
  driver.groups["g0"].answers = false;
  driver.all([](Behaviour& group) { group.queue = 20; });
  EXPECT_GT(driver.run(10).desired, 3);
}

TEST(AutoscaleTable, NanUseIsLeftOutAndForbidsScaleDown) {
  AutoscaleDriver driver;
  driver.with(3, idle());
  driver.groups["g0"].cache_use = std::numeric_limits<double>::quiet_NaN();
  const AutoscaleDecision decision = driver.run(900);
  EXPECT_EQ(decision.desired, 3);
  EXPECT_EQ(decision.inputs.invalid, 1);
  ASSERT_TRUE(decision.inputs.cache_use);
  EXPECT_FALSE(std::isnan(*decision.inputs.cache_use));
}

TEST(AutoscaleTable, NanUseEverywhereLeavesTheQueueToDecide) {
  AutoscaleDriver driver;
  driver.with(2, busy()).all([](Behaviour& group) {
    group.cache_use = std::numeric_limits<double>::quiet_NaN();
    group.queue = 20;
  });
  const AutoscaleDecision decision = driver.run(5);
  EXPECT_GT(decision.desired, 2);
  EXPECT_FALSE(decision.inputs.cache_use);
}

TEST(AutoscaleTable, ZeroTrafficScalesDownToTheMinimum) {
  AutoscaleDriver driver;
  driver.with(4, idle()).spec.min_replicas = 2;
  const AutoscaleDecision decision = driver.run(900);
  EXPECT_EQ(decision.desired, 2);
  EXPECT_FALSE(decision.inputs.first_token_p95) << "no sample, so no latency and no NaN";
}

TEST(AutoscaleTable, ColdGroupsCountAsReplicasButNotBySignals) {
  AutoscaleDriver driver;
  driver.with(2, busy());
  Behaviour cold = busy();
  cold.life = GroupLife::kCold;
  cold.queue = 1000;
  cold.cache_use = 1.0;
  driver.groups["cold"] = cold;
  driver.replicas = 3;
  const AutoscaleDecision decision = driver.run(60);
  EXPECT_EQ(decision.desired, 3);
  EXPECT_EQ(decision.inputs.cold, 1);
  EXPECT_NEAR(*decision.inputs.cache_use, 0.6, 1e-9);
}

TEST(AutoscaleTable, FirstSamplesOfAWarmingGroupDoNotCount) {
  AutoscaleDriver driver;
  driver.served_before = std::chrono::seconds(0);
  driver.spec.targets.first_token_p95 = 0.5;
  Behaviour slow = busy();
  slow.first_token = 30;
  driver.with(1, slow).run(29);
  EXPECT_EQ(driver.last.desired, 1);
  EXPECT_FALSE(driver.last.inputs.first_token_p95);
}

TEST(AutoscaleTable, ARestartedAgentBeginsAnewInsteadOfCountingBackwards) {
  AutoscaleDriver driver;
  driver.with(1, busy()).run(100);
  const double before = driver.last.inputs.arrivals_per_second;
  AutoscaleDriver other;  // the same planner must take totals that shrink
  AutoscaleHistory history;
  GroupSignal signal{"g", GroupLife::kServing, std::chrono::minutes(10), common::AgentLoad{}, {}};
  TimePoint now{std::chrono::hours(1)};
  for (int i = 0; i < 20; ++i) {
    signal.load->arrivals = i < 10 ? 1000 + 2 * static_cast<std::uint64_t>(i) : 2 * static_cast<std::uint64_t>(i - 10);
    now += std::chrono::seconds(1);
    AutoscaleOutcome outcome = plan_autoscale(other.spec, {1, {signal}}, std::move(history), now);
    history = std::move(outcome.history);
    EXPECT_LT(outcome.decision.inputs.arrivals_per_second, 3.0);
  }
  EXPECT_NEAR(before, 2.0, 0.1);
}

TEST(AutoscaleTable, MinimumAndMaximumHoldWithoutAnySignal) {
  AutoscaleDriver driver;
  driver.with(2, idle()).all([](Behaviour& group) { group.answers = false; });
  driver.spec.min_replicas = 5;
  EXPECT_EQ(driver.run(1).desired, 5);
  EXPECT_EQ(driver.last.reason, "Minimum");
  driver.spec.min_replicas = 1;
  driver.spec.max_replicas = 3;
  EXPECT_EQ(driver.run(1).desired, 3);
  EXPECT_EQ(driver.last.reason, "Maximum");
}

TEST(AutoscaleTable, AnImpossibleSpecIsRefusedWithItsReason) {
  AutoscaleDriver driver;
  driver.with(2, busy());
  driver.spec.min_replicas = 4;
  driver.spec.max_replicas = 3;
  const AutoscaleDecision decision = driver.run(1);
  EXPECT_EQ(decision.desired, 2);
  EXPECT_FALSE(decision.active);
  EXPECT_EQ(decision.reason, "InvalidSpec");
  EXPECT_EQ(decision.message, "maxReplicas is 3 but minReplicas is 4: raise the one or lower the other");
}

TEST(AutoscaleTable, LeavingGroupsDoNotCount) {
  AutoscaleDriver driver;
  driver.with(2, busy());
  Behaviour leaving = busy();
  leaving.life = GroupLife::kLeaving;
  leaving.queue = 1000;
  driver.groups["old"] = leaving;
  driver.replicas = 2;
  const AutoscaleDecision decision = driver.run(60);
  EXPECT_EQ(decision.inputs.serving, 2);
  EXPECT_DOUBLE_EQ(*decision.inputs.queue_per_replica, 0);
}

// Decisions.

TEST(Autoscale, AQueueAboveItsTargetIsAnsweredAtOnce) {
  AutoscaleDriver driver;
  driver.with(2, busy()).run(60);
  driver.replicas = 2;
  driver.all([](Behaviour& group) { group.queue = 12; });
  const int took = driver.run_until_changed(5);
  EXPECT_GE(took, 1);
  EXPECT_LE(took, 2);
  EXPECT_EQ(driver.last.reason, "Queue");
  EXPECT_EQ(driver.last.desired, 4) << "at most twice as many by a ratio alone";
}

TEST(Autoscale, FullCachesScaleUp) {
  AutoscaleDriver driver;
  Behaviour full = busy();
  full.cache_use = 1.0;
  full.arrivals = 0;
  driver.with(2, full).run_until_changed(5);
  EXPECT_EQ(driver.last.desired, 3);  // 2 * 1.0 / 0.85
  EXPECT_EQ(driver.last.reason, "CacheUse");
}

TEST(Autoscale, AMissedTimeToTheFirstTokenScalesUp) {
  AutoscaleDriver driver;
  driver.spec.targets.first_token_p95 = 0.5;
  Behaviour slow = busy();
  slow.first_token = 0.8;
  driver.with(2, slow);
  EXPECT_GT(driver.run_until_changed(60), 0);
  EXPECT_EQ(driver.last.reason, "FirstToken");
  EXPECT_GT(driver.last.desired, 2);
}

TEST(Autoscale, FewerOnlyWhenTheSurvivorsWouldHoldTheTargets) {
  AutoscaleDriver tight;
  Behaviour group = busy();
  group.cache_use = 0.6;  // two would have 0.9 with a target of 0.85
  EXPECT_EQ(tight.with(3, group).run(900).desired, 3);
  AutoscaleDriver loose;
  group.cache_use = 0.45;  // two would have 0.675
  EXPECT_EQ(loose.with(3, group).run(900).desired, 2);
}

TEST(Autoscale, NothingIsGivenUpBeforeTheWindowHasPassed) {
  AutoscaleDriver driver;
  driver.with(4, idle());
  EXPECT_GE(driver.run_until_changed(600), driver.spec.scale_down.window_seconds);
  EXPECT_EQ(driver.last.reason, "LowLoad");
}

TEST(Autoscale, SoonAfterAScaleUpFewerNeedsProofOfAFall) {
  AutoscaleDriver driver;
  driver.with(2, busy()).run(90);
  driver.all([](Behaviour& each) { each.queue = 8; });
  ASSERT_GT(driver.run_until_changed(10), 0);
  const std::int32_t high = driver.replicas;
  driver.all([](Behaviour& each) {
    each.queue = 0;
    each.cache_use = 0.05;
  });
  EXPECT_EQ(driver.run(500).desired, high) << "the same requests arrive";
  EXPECT_EQ(driver.last.held_by, "RecentScaleUp");
  AutoscaleDriver quiet = driver;
  quiet.all([](Behaviour& each) {
    each.arrivals = 0;
    each.running = 0;
  });
  EXPECT_LT(quiet.run(80).desired, high) << "it is quiet: no need to wait for ten minutes";
}

TEST(Autoscale, WhatASoonRegrettedScaleDownTookIsKeptForTenMinutes) {
  const auto none_arrive = [](Behaviour& each) { each = idle(); };
  const auto many_wait = [](Behaviour& each) {
    each = busy();
    each.queue = 8;
  };
  AutoscaleDriver driver;
  driver.with(2, busy()).run(90);
  driver.all(none_arrive);
  ASSERT_EQ(driver.run(300).desired, 1);
  driver.with(1, busy()).run(90);
  driver.all(many_wait);
  ASSERT_GT(driver.run_until_changed(60), 0);
  const std::int32_t high = driver.replicas;
  driver.all(none_arrive);
  EXPECT_EQ(driver.run(590).desired, high) << "the load may come back once more";
  EXPECT_EQ(driver.last.held_by, "RecentScaleUp");
  EXPECT_LT(driver.run(200).desired, high);
}

TEST(Autoscale, AScaleUpBeforeArrivalsWereKnownIsGivenBackWhenTheyEnd) {
  Behaviour overloaded = busy();
  overloaded.arrivals = 10;
  overloaded.queue = 30;
  AutoscaleDriver driver;
  driver.spec.max_replicas = 2;
  driver.with(1, overloaded);
  EXPECT_EQ(driver.run(1).desired, 2) << "by the queue: no arrivals were counted yet";
  driver.with(2, overloaded).run(60);
  driver.with(2, idle());
  EXPECT_EQ(driver.run(300).desired, 1) << "within the ten minutes in which only a proven fall counts";
}

TEST(Autoscale, SaysWhatADecisionCosts) {
  AutoscaleDriver driver;
  driver.spec.cost_per_replica_hour = 2.5;
  Behaviour group = busy();
  group.queue = 12;
  driver.with(2, group).run(2);
  EXPECT_EQ(driver.last.desired, 4);
  driver.with(2, group);
  AutoscaleDriver fresh;
  fresh.spec.cost_per_replica_hour = 2.5;
  fresh.with(2, group).run_until_changed(5);
  EXPECT_DOUBLE_EQ(*fresh.last.cost_per_hour, 10.0);
  EXPECT_DOUBLE_EQ(*fresh.last.cost_change_per_hour, 5.0);
}

TEST(Autoscale, TheMaximumIsNamedWhenItHolds) {
  AutoscaleDriver driver;
  driver.spec.max_replicas = 2;
  Behaviour group = busy();
  group.queue = 100;
  driver.with(2, group).run(5);
  EXPECT_EQ(driver.last.desired, 2);
  EXPECT_EQ(driver.last.held_by, "Maximum");
}

TEST(EffectiveReplicas, ComeFromWhoeverDecides) {
  AutoscalingSpec spec;
  spec.min_replicas = 2;
  spec.max_replicas = 6;
  EXPECT_EQ(effective_replicas(3, std::nullopt, 5, 4), 3) << "no autoscaling";
  EXPECT_EQ(effective_replicas(3, spec, 5, 4), 5) << "decided";
  EXPECT_EQ(effective_replicas(3, spec, std::nullopt, 4), 4) << "remembered by status";
  EXPECT_EQ(effective_replicas(3, spec, std::nullopt, std::nullopt), 3) << "to begin with";
  EXPECT_EQ(effective_replicas(1, spec, std::nullopt, std::nullopt), 2) << "at least the minimum";
  EXPECT_EQ(effective_replicas(0, spec, 5, 4), 0) << "the user wants none";
  spec.mode = AutoscalingSpec::Mode::kExternal;
  EXPECT_EQ(effective_replicas(9, spec, 5, 4), 9) << "somebody else decides";
}

}  // namespace
}  // namespace millrace::controller
