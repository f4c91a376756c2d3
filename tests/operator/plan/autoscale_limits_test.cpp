#include "operator/plan/autoscale_limits.h"

#include <gtest/gtest.h>

namespace millrace::controller {
namespace {

using std::chrono::seconds;
using Type = ScalingPolicy::Type;
using Select = ScalingRules::Select;

const TimePoint kNow{std::chrono::hours(1)};

AutoscalingSpec spec_with(ScalingRules up, ScalingRules down) {
  AutoscalingSpec spec;
  spec.min_replicas = 1;
  spec.max_replicas = 100;
  spec.scale_up = std::move(up);
  spec.scale_down = std::move(down);
  return spec;
}

TEST(Stabilised, TakesTheGreatestWishOfTheScaleDownWindow) {
  const AutoscalingSpec spec = spec_with({0, Select::kMax, {}}, {60, Select::kMax, {}});
  ScalingHistory history;
  history.wished(kNow - seconds(61), 9);
  history.wished(kNow - seconds(30), 5);
  history.wished(kNow, 2);
  EXPECT_EQ(stabilised(spec, history, 8, kNow), 5);
  EXPECT_EQ(stabilised(spec, history, 4, kNow), 4) << "5 is no wish for fewer than 4";
}

TEST(Stabilised, TakesTheLeastWishOfTheScaleUpWindow) {
  const AutoscalingSpec spec = spec_with({30, Select::kMax, {}}, {0, Select::kMax, {}});
  ScalingHistory history;
  history.wished(kNow - seconds(10), 4);
  history.wished(kNow, 9);
  EXPECT_EQ(stabilised(spec, history, 2, kNow), 4);
}

TEST(Capped, TakesThePolicyThatAllowsMostOrLeast) {
  const std::vector<ScalingPolicy> policies{{Type::kPods, 4, 15}, {Type::kPercent, 100, 15}};
  const AutoscalingSpec most = spec_with({0, Select::kMax, policies}, {});
  const AutoscalingSpec least = spec_with({0, Select::kMin, policies}, {});
  EXPECT_EQ(capped(most, {}, 2, 50, kNow), 6);
  EXPECT_EQ(capped(least, {}, 2, 50, kNow), 4);
  EXPECT_EQ(capped(most, {}, 10, 50, kNow), 20);
  EXPECT_EQ(capped(most, {}, 10, 12, kNow), 12);
}

TEST(Capped, CountsWhatWasDoneInThePeriod) {
  const AutoscalingSpec spec =
      spec_with({0, Select::kMax, {{Type::kPods, 4, 15}}}, {0, Select::kMax, {{Type::kPods, 1, 30}}});
  ScalingHistory history;
  history.changed(kNow - seconds(10), 3);
  EXPECT_EQ(capped(spec, history, 5, 50, kNow), 6);
  EXPECT_EQ(capped(spec, history, 5, 50, kNow + seconds(6)), 9);
  history.changed(kNow, -1);
  EXPECT_EQ(capped(spec, history, 5, 1, kNow), 5);
  EXPECT_EQ(capped(spec, history, 5, 1, kNow + seconds(30)), 4);
}

TEST(Capped, PercentagesRoundAwayFromNothing) {
  const AutoscalingSpec spec =
      spec_with({0, Select::kMax, {{Type::kPercent, 10, 60}}}, {0, Select::kMax, {{Type::kPercent, 10, 60}}});
  EXPECT_EQ(capped(spec, {}, 3, 9, kNow), 4);
  EXPECT_EQ(capped(spec, {}, 3, 1, kNow), 2);
}

TEST(Capped, DisabledNeverMoves) {
  const AutoscalingSpec spec = spec_with({0, Select::kDisabled, {}}, {0, Select::kDisabled, {}});
  EXPECT_EQ(capped(spec, {}, 3, 9, kNow), 3);
  EXPECT_EQ(capped(spec, {}, 3, 1, kNow), 3);
}

TEST(ScalingHistory, ForgetsWhatNoWindowReaches) {
  ScalingHistory history;
  history.wished(kNow - seconds(200), 1);
  history.changed(kNow - seconds(200), 1);
  history.wished(kNow, 2);
  history.forget_before(kNow - seconds(100));
  EXPECT_EQ(history.wishes.size(), 1u);
  EXPECT_TRUE(history.changes.empty());
}

}  // namespace
}  // namespace millrace::controller
