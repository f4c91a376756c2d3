#include "operator/plan/experts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <set>

#include "tests/operator/plan/eplb.h"
#include "tests/operator/plan/experts_exact.h"

namespace millrace::controller {
namespace {

using ::testing::HasSubstr;

std::vector<double> log_normal(std::mt19937& random, std::int32_t experts, double sigma) {
  std::lognormal_distribution<double> draw(0, sigma);
  std::vector<double> load;
  for (std::int32_t expert = 0; expert < experts; ++expert) load.push_back(draw(random) * 1000);
  return load;
}

void drift(std::mt19937& random, std::vector<double>& load) {
  std::lognormal_distribution<double> draw(0, 0.3);
  for (double& value : load) value *= draw(random);
}

// As a group starts: experts in order, spare slots repeat those of the rank.
ExpertRow linear_row(const ExpertShape& shape) {
  ExpertRow row;
  for (std::int32_t rank = 0; rank < shape.ranks; ++rank) {
    const std::int32_t first = rank * shape.experts / shape.ranks;
    const std::int32_t last = (rank + 1) * shape.experts / shape.ranks;
    for (std::int32_t slot = 0; slot < shape.slots_per_rank; ++slot) row.push_back(first + slot % (last - first));
  }
  return row;
}

std::set<std::int32_t> experts_of(const ExpertShape& shape, const ExpertRow& row, std::int32_t rank) {
  const auto begin = row.begin() + std::ptrdiff_t{rank} * shape.slots_per_rank;
  return {begin, begin + shape.slots_per_rank};
}

std::size_t count_fetches(const ExpertShape& shape, const ExpertRow& from, const ExpertRow& to) {
  std::size_t fetches = 0;
  for (std::int32_t rank = 0; rank < shape.ranks; ++rank) {
    const auto before = experts_of(shape, from, rank);
    for (const std::int32_t expert : experts_of(shape, to, rank)) fetches += before.contains(expert) ? 0 : 1;
  }
  return fetches;
}

ExpertPlanInput input_of(std::int32_t experts, std::int32_t ranks, std::int32_t slots, std::vector<double> load) {
  ExpertPlanInput input;
  input.shape = {experts, ranks, slots, {}};
  input.bytes_per_expert = 100;
  input.loads = {std::move(load)};
  input.current = {linear_row(input.shape)};
  return input;
}

TEST(ExpertPlan, LeavesABalancedGroupAlone) {
  const ExpertPlan plan = plan_experts(input_of(4, 2, 2, {10, 20, 20, 10}));
  ASSERT_TRUE(plan.ok()) << plan.refused;
  EXPECT_EQ(plan.placement, (std::vector<ExpertRow>{{0, 1, 2, 3}}));
  EXPECT_EQ(plan.bytes, 0);
  EXPECT_EQ(plan.improvement(), 0.0);
}

TEST(ExpertPlan, ExchangesTwoExpertsWhenThatIsEnough) {
  const ExpertPlan plan = plan_experts(input_of(4, 2, 2, {30, 30, 10, 10}));
  EXPECT_DOUBLE_EQ(plan.all.before, 1.5);
  EXPECT_DOUBLE_EQ(plan.all.after, 1.0);
  EXPECT_EQ(plan.fetches.size(), 2U);
  EXPECT_EQ(plan.bytes, 200);
}

TEST(ExpertPlan, ReplicatesAnExpertThatIsMoreThanOneRankCanDo) {
  const ExpertPlan plan = plan_experts(input_of(4, 2, 3, {90, 10, 10, 10}));
  EXPECT_NEAR(plan.all.after, 1.0, 0.1);
  EXPECT_TRUE(experts_of({4, 2, 3, {}}, plan.placement[0], 0).contains(0));
  EXPECT_TRUE(experts_of({4, 2, 3, {}}, plan.placement[0], 1).contains(0));
}

TEST(ExpertPlan, UsesSpareSlotsOnlyInLayersThatNeedThem) {
  ExpertPlanInput input = input_of(4, 2, 3, {90, 10, 10, 10});
  input.loads.push_back({25, 25, 25, 25});
  input.current.push_back(input.current[0]);
  const ExpertPlan plan = plan_experts(input);
  EXPECT_EQ(plan.placement[1], input.current[1]);
  EXPECT_EQ(plan.worst_layer, 0);
  for (const ExpertFetch& fetch : plan.fetches) EXPECT_EQ(fetch.layer, 0);
}

TEST(ExpertPlan, PrefersExpertsFromTheSameNode) {
  // Rank 0 is too busy, ranks 1 and 2 are equally idle; rank 2 is on its node.
  ExpertPlanInput input = input_of(6, 3, 2, {40, 40, 10, 10, 10, 10});
  input.shape.node_of_rank = {7, 8, 7};
  input.tolerance = 0.4;
  const ExpertPlan plan = plan_experts(input);
  EXPECT_EQ(plan.fetches.size(), 2U);
  EXPECT_EQ(plan.bytes_between_nodes, 0);
  for (const ExpertFetch& fetch : plan.fetches) EXPECT_TRUE(fetch.same_node);
}

TEST(ExpertPlan, LayersWithoutTrafficStay) {
  const ExpertPlan plan = plan_experts(input_of(4, 2, 2, {0, 0, 0, 0}));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan.bytes, 0);
  EXPECT_EQ(plan.all.before, 1.0);
}

void expect_within_two_percent_of_the_optimum(std::mt19937& random, const std::string& which) {
  ExpertShape shape;
  shape.ranks = 2 + static_cast<std::int32_t>(random() % 3);
  shape.experts = 4 + static_cast<std::int32_t>(random() % 6);
  shape.slots_per_rank = (shape.experts + shape.ranks - 1) / shape.ranks + static_cast<std::int32_t>(random() % 2);
  if (shape.slots() > 12 || shape.experts < shape.ranks) return;
  const double sigma = 0.2 + 0.5 * static_cast<double>(random() % 4);
  const ExpertPlanInput input =
      input_of(shape.experts, shape.ranks, shape.slots_per_rank, log_normal(random, shape.experts, sigma));
  const ExpertPlan plan = plan_experts(input);
  ASSERT_TRUE(plan.ok()) << plan.refused;
  double total = 0;
  for (const double load : input.loads[0]) total += load;
  const double optimum = test::exact_peak(shape, input.loads[0]) / (total / shape.ranks);
  EXPECT_LE(plan.all.after, optimum * 1.02)
      << shape.experts << " experts, " << shape.ranks << " ranks, " << shape.slots_per_rank << " slots, " << which;
}

TEST(ExpertPlan, IsWithinTwoPercentOfTheOptimumOfSmallLayers) {
  for (const unsigned seed : {7U, 8U, 13U}) {
    std::mt19937 random(seed);
    for (int i = 0; i < 300; ++i) {
      expect_within_two_percent_of_the_optimum(random, "seed " + std::to_string(seed) + ", case " + std::to_string(i));
    }
  }
}

TEST(ExpertPlan, IsAlwaysValidAndNeverWorseThanWhatWas) {
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    const auto ranks = static_cast<std::int32_t>(1U << (random() % 4));
    const std::int32_t experts = ranks + static_cast<std::int32_t>(random() % 40);
    const std::int32_t slots = (experts + ranks - 1) / ranks + static_cast<std::int32_t>(random() % 3);
    ExpertPlanInput input = input_of(experts, ranks, slots, log_normal(random, experts, 1.2));
    for (std::int32_t rank = 0; rank < ranks; ++rank) input.shape.node_of_rank.push_back(rank / 2);
    for (int step = 0; step < 3; ++step) {
      const ExpertPlan plan = plan_experts(input);
      ASSERT_TRUE(plan.ok()) << plan.refused;
      ASSERT_EQ(placement_fault(input.shape, plan.placement, 1), "");
      EXPECT_LE(plan.all.after, plan.all.before + 1e-9);
      EXPECT_EQ(plan.fetches.size(), count_fetches(input.shape, input.current[0], plan.placement[0]));
      EXPECT_EQ(plan.bytes, static_cast<std::int64_t>(plan.fetches.size()) * 100);
      input.current = plan.placement;
      drift(random, input.loads[0]);
    }
  }
}

TEST(ExpertPlan, IsTheSameForTheSameInput) {
  std::mt19937 random(5);
  const ExpertPlanInput input = input_of(16, 4, 5, log_normal(random, 16, 1.0));
  EXPECT_EQ(plan_experts(input).placement, plan_experts(input).placement);
}

// (sigma, spare slots of a rank)
class DriftedLoads : public ::testing::TestWithParam<std::pair<double, std::int32_t>> {};

TEST_P(DriftedLoads, MoveAtMostHalfOfTheBytesThatEplbMovesForTheSameBalance) {
  const auto [sigma, spare] = GetParam();
  std::mt19937 random(11);
  for (const std::int32_t ranks : {8, 64}) {
    ExpertPlanInput input = input_of(512, ranks, 512 / ranks + spare, log_normal(random, 512, sigma));
    input.current = {test::eplb_row(input.shape, input.loads[0])};
    drift(random, input.loads[0]);
    const ExpertRow eplb = test::eplb_row(input.shape, input.loads[0]);
    const double eplb_balance = expert_imbalance(input.shape, input.loads[0], eplb);
    input.tolerance = 0.002;
    const ExpertPlan plan = plan_experts(input);
    EXPECT_LE(plan.all.after, eplb_balance * 1.005) << ranks << " ranks";
    EXPECT_LE(plan.fetches.size() * 2, count_fetches(input.shape, input.current[0], eplb)) << ranks << " ranks";
  }
}

INSTANTIATE_TEST_SUITE_P(Skews, DriftedLoads,
                         ::testing::Values(std::pair{0.5, 0}, std::pair{1.0, 0}, std::pair{0.5, 1}, std::pair{1.0, 1},
                                           std::pair{1.5, 1}, std::pair{1.0, 4}));

TEST(ExpertPlan, RefusesWhatCannotBe) {
  struct Case {
    const char* what;
    std::function<void(ExpertPlanInput&)> spoil;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"no experts", [](auto& input) { input.shape.experts = 0; }, "a model without experts"},
      {"no ranks", [](auto& input) { input.shape.ranks = 0; }, "at least one rank"},
      {"too few slots", [](auto& input) { input.shape.slots_per_rank = 1; }, "need at least 2"},
      {"no layers", [](auto& input) { input.loads.clear(); }, "one row for each layer"},
      {"short loads", [](auto& input) { input.loads[0].pop_back(); }, "loads of layer 0 has 3 entries"},
      {"negative load", [](auto& input) { input.loads[0][2] = -1; }, "for expert 2"},
      {"NaN", [](auto& input) { input.loads[0][1] = std::numeric_limits<double>::quiet_NaN(); }, "finite"},
      {"infinite", [](auto& input) { input.loads[0][1] = std::numeric_limits<double>::infinity(); }, "finite"},
      {"missing layer", [](auto& input) { input.current.clear(); }, "the placement has 0 layers"},
      {"missing expert",
       [](auto& input) {
         input.current[0] = {0, 1, 2, 2};
       },
       "no slot for expert 3"},
      {"unknown expert",
       [](auto& input) {
         input.current[0] = {0, 1, 2, 4};
       },
       "names expert 4"},
      {"too many slots", [](auto& input) { input.current[0].push_back(0); }, "has 5 slots"},
      {"nodes", [](auto& input) { input.shape.node_of_rank = {1}; }, "node_of_rank has 1 entries"},
      {"bytes", [](auto& input) { input.bytes_per_expert = -1; }, "bytes_per_expert is -1"},
      {"tolerance", [](auto& input) { input.tolerance = 1; }, "tolerance"},
  };
  for (const Case& bad : cases) {
    ExpertPlanInput input = input_of(4, 2, 2, {1, 2, 3, 4});
    bad.spoil(input);
    const ExpertPlan plan = plan_experts(input);
    EXPECT_FALSE(plan.ok()) << bad.what;
    EXPECT_THAT(plan.refused, HasSubstr(bad.message)) << bad.what;
    EXPECT_TRUE(plan.placement.empty()) << bad.what;
  }
}

}  // namespace
}  // namespace millrace::controller
