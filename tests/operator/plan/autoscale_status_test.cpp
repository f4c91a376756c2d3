#include "operator/plan/autoscale_status.h"

#include <gtest/gtest.h>

#include "operator/kube/timestamp.h"

namespace millrace::controller {
namespace {

using kube::Json;

AutoscaleStatusInput decided() {
  AutoscaleStatusInput input;
  input.spec.max_replicas = 8;
  input.spec_replicas = 2;
  input.replicas = 4;
  AutoscaleRecord& record = input.record.emplace();
  record.at = *kube::parse_timestamp("2026-01-02T12:00:00Z");
  record.decision.desired = 4;
  record.decision.candidate = 6;
  record.decision.reason = "Queue";
  record.decision.message = "12.0 sequences wait per replica, the target is 5.0";
  record.decision.held_by = "Policy";
  record.decision.inputs.serving = 2;
  record.decision.inputs.arrivals_per_second = 3.456;
  record.decision.inputs.cache_use = 0.5;
  record.decision.cost_per_hour = 10;
  record.decision.cost_change_per_hour = 5;
  return input;
}

TEST(AutoscaleStatus, RecordsTheDecisionWithItsInputsAndCost) {
  const Json status = autoscale_status(decided(), nullptr);
  EXPECT_EQ(status["desiredReplicas"], 4);
  EXPECT_EQ(status["candidateReplicas"], 6);
  EXPECT_EQ(status["reason"], "Queue");
  EXPECT_EQ(status["heldBy"], "Policy");
  EXPECT_EQ(status["decidedAt"], "2026-01-02T12:00:00Z");
  EXPECT_EQ(status["inputs"]["arrivalsPerSecond"], "3.46");
  EXPECT_EQ(status["inputs"]["cacheUsePercent"], 50);
  EXPECT_FALSE(status["inputs"].contains("firstTokenP95Milliseconds")) << "not known";
  EXPECT_EQ(status["cost"]["perHour"], "10.00");
  EXPECT_EQ(status["cost"]["changePerHour"], "5.00");
}

TEST(AutoscaleStatus, KeepsTheEarlierDecisionUntilThisProcessHasOne) {
  AutoscaleStatusInput input = decided();
  const Json before = autoscale_status(input, nullptr);
  input.record.reset();
  EXPECT_EQ(autoscale_status(input, before), before);
}

TEST(AutoscaleStatus, TellsALaterProcessWhenReplicasWereAddedAndAtWhichLoad) {
  const Json status = {{"autoscaling", autoscale_status(decided(), nullptr)}};
  const std::optional<EarlierDecision> earlier = earlier_decision(status);
  ASSERT_TRUE(earlier);
  EXPECT_EQ(earlier->replicas, 4);
  EXPECT_TRUE(earlier->active);
  EXPECT_EQ(earlier->scaled_up_at, decided().record->at);
  EXPECT_DOUBLE_EQ(earlier->scaled_up_rate, 3.46);
  EXPECT_EQ(history_after(earlier).scaled_up_at, decided().record->at);
}

TEST(AutoscaleStatus, TellsALaterProcessOfNoScaleUpWhereThereWasNone) {
  AutoscaleStatusInput input = decided();
  for (const char* reason : {"LowLoad", "Steady", "NoMetrics"}) {
    input.record->decision.reason = reason;
    const auto earlier = earlier_decision({{"autoscaling", autoscale_status(input, nullptr)}});
    ASSERT_TRUE(earlier) << reason;
    EXPECT_FALSE(earlier->scaled_up_at) << reason;
    EXPECT_EQ(earlier->active, std::string(reason) != "NoMetrics") << reason;
  }
  EXPECT_FALSE(earlier_decision(nullptr));
  EXPECT_FALSE(history_after(std::nullopt).scaled_up_at);
}

TEST(AutoscaleStatus, SaysWhoDecides) {
  AutoscaleStatusInput input = decided();
  EXPECT_TRUE(autoscale_condition(input).active);
  EXPECT_EQ(autoscale_condition(input).reason, "BuiltIn");

  input.record->decision.active = false;
  input.record->decision.reason = "NoMetrics";
  EXPECT_FALSE(autoscale_condition(input).active);
  EXPECT_EQ(autoscale_condition(input).reason, "NoMetrics");

  input.spec_replicas = 0;
  EXPECT_EQ(autoscale_condition(input).reason, "ScaledToZero");
  EXPECT_TRUE(autoscale_status(input, nullptr).is_null());

  input.spec.mode = AutoscalingSpec::Mode::kExternal;
  EXPECT_EQ(autoscale_condition(input).reason, "External");
  EXPECT_TRUE(autoscale_status(input, nullptr).is_null()) << "the built-in autoscaler writes nothing";
}

}  // namespace
}  // namespace millrace::controller
