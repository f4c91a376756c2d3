// Replica-hours, cost and tokens: as sums, in status, and what they write.
#include "operator/plan/cost.h"

#include <gtest/gtest.h>

#include "operator/token_meter.h"
#include "tests/operator/reconcile/world.h"

namespace millrace::controller {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::World;
using Json = kube::Json;

const TimePoint kStart = *kube::parse_timestamp("2026-01-02T03:04:05Z");

TEST(Cost, GrowsWithGroupsHoursAndPrice) {
  const CostRecord first = next_cost({}, 4, 2.5, kStart);
  EXPECT_EQ(first.replica_hours, 0);
  const CostRecord later = carried_on(first, kStart + minutes(90));
  EXPECT_DOUBLE_EQ(later.replica_hours, 6);
  EXPECT_DOUBLE_EQ(*later.total, 15);
  const CostRecord cheaper = next_cost(first, 1, 1.0, kStart + hours(1));
  const CostRecord end = carried_on(cheaper, kStart + hours(3));
  EXPECT_DOUBLE_EQ(end.replica_hours, 4 + 2);
  EXPECT_DOUBLE_EQ(*end.total, 10 + 2);
  EXPECT_EQ(end.since, kStart);
}

TEST(Cost, CountsHoursWithoutAPriceAndKeepsWhatWasPaid) {
  EXPECT_FALSE(carried_on(next_cost({}, 1, {}, kStart), kStart + hours(1)).total);
  const CostRecord priced = next_cost({}, 1, 2.0, kStart);
  const CostRecord unpriced = next_cost(priced, 1, {}, kStart + hours(1));
  EXPECT_DOUBLE_EQ(*carried_on(unpriced, kStart + hours(5)).total, 2);
}

TEST(Cost, NeverShrinksWhenTheClockOfANewLeaderIsBehind) {
  const CostRecord record = next_cost({}, 2, 1.0, kStart);
  const CostRecord carried = carried_on(record, kStart - hours(1));
  EXPECT_EQ(carried.replica_hours, 0);
  EXPECT_EQ(carried.as_of, kStart);
}

TEST(Cost, SurvivesStatusAndRefusesNonsense) {
  const CostRecord record = carried_on(next_cost({}, 3, 2.5, kStart), kStart + minutes(20));
  const auto read = read_cost(cost_json(record));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->as_of, record.as_of);
  EXPECT_DOUBLE_EQ(read->replica_hours, 1);
  EXPECT_DOUBLE_EQ(*read->total, 2.5);
  EXPECT_FALSE(read_cost(nullptr));
  EXPECT_FALSE(read_cost({{"since", "yesterday"}, {"asOf", "today"}, {"groups", 1}, {"replicaHours", "1"}}));
}

TEST(Cost, KnowsItsOwnRateAgainThoughPricesAreRounded) {
  const CostRecord record = next_cost({}, 3, 0.123456789, kStart);
  EXPECT_TRUE(same_rate(cost_json(record), next_cost(read_cost(cost_json(record)), 3, 0.123456789, kStart)));
  EXPECT_FALSE(same_rate(cost_json(record), next_cost({}, 2, 0.123456789, kStart)));
  EXPECT_FALSE(same_rate(cost_json(record), next_cost({}, 3, {}, kStart)));
  EXPECT_FALSE(same_rate(nullptr, record));
}

TEST(Cost, IsInStatusAndWritesNothingAtRest) {
  World world;
  world.apply({{"replicas", 2}, {"autoscaling", {{"mode", "external"}, {"costPerReplicaHour", "3"}}}});
  ASSERT_TRUE(world.settle());
  const Json before = world.deployment().at("/status/cost");
  EXPECT_EQ(before["groups"], 2);
  EXPECT_EQ(before["pricePerReplicaHour"], "3.0000");
  const int writes = world.client.writes;
  world.now += hours(2);
  world.reconcile();
  EXPECT_EQ(world.client.writes, writes);
  EXPECT_EQ(world.deployment().at("/status/cost"), before);
  world.apply({{"replicas", 1}, {"autoscaling", {{"mode", "external"}, {"costPerReplicaHour", "3"}}}});
  ASSERT_TRUE(world.settle());
  const auto after = read_cost(world.deployment().at("/status/cost"));
  ASSERT_TRUE(after);
  EXPECT_EQ(after->groups, 1);
  EXPECT_GE(after->replica_hours, 4);
  EXPECT_NEAR(*after->total, 3 * after->replica_hours, 0.01);
}

// An agent that has generated `tokens` more at every look.
std::function<void(const kube::Object&, common::AgentLoad&)> generates(std::uint64_t tokens) {
  return [=](const kube::Object&, common::AgentLoad& load) { load.inter_token.observe(0.02, tokens); };
}

TEST(Cost, OfAMillionTokensIsInStatusAndToldSeldom) {
  World world;
  world.work = generates(0);
  const Json spec = {{"replicas", 2}, {"autoscaling", {{"mode", "external"}, {"costPerReplicaHour", "3"}}}};
  world.apply(spec);
  world.settle(20);
  EXPECT_FALSE(world.deployment().at("/status/cost").contains("tokens")) << "nobody asked anything yet";
  const Result quiet = world.reconcile();
  EXPECT_EQ(quiet.again_after, kTokenNews);
  world.work = generates(500);
  world.run_agents();
  world.now += hours(1);
  world.reconcile();
  const Json told = world.deployment().at("/status/cost/tokens");
  EXPECT_EQ(told["generated"], 1000);
  EXPECT_NEAR(std::stod(told["perMillion"].get<std::string>()), 2 * 3 / 1000.0 * 1e6, 60);
  const int writes = world.client.writes;
  world.run_agents();
  world.now += minutes(5);
  world.reconcile();
  EXPECT_EQ(world.client.writes, writes);
  world.now += minutes(6);
  world.reconcile();
  EXPECT_EQ(world.client.writes, writes + 1);
  EXPECT_EQ(world.deployment().at("/status/cost/tokens")["generated"], 2000);
  world.now += hours(1);
  world.reconcile();
  EXPECT_EQ(world.client.writes, writes + 1) << "no token, no news";
}

TEST(Cost, OfTokensStaysInStatusUntilANewOperatorHasCountedSome) {
  const Json told = {{"since", "2026-01-02T03:04:05Z"}, {"generated", 7}, {"perMillion", "1.0000"}};
  EXPECT_EQ(tokens_json({kStart, 0, 1.0}, told), told);
  EXPECT_EQ(tokens_json({kStart, 0, 1.0}, nullptr), Json());
  EXPECT_EQ(tokens_json({kStart, 2000, 1.0}, told)["perMillion"], "500.0000");
}

TEST(Cost, TokensOfAgentsAddUpOverTheirRestarts) {
  const kube::ObjectKey chat{"ml", "chat"};
  TokenMeter meter;
  meter.read(chat, "a", 1000);  // what it did before is not ours to count
  meter.read(chat, "a", 1500);
  meter.read(chat, "b", 10);
  meter.read(chat, "b", 30);
  EXPECT_EQ(meter.total(chat), 520);
  meter.read(chat, "a", 40);  // began anew
  EXPECT_EQ(meter.total(chat), 560);
  meter.keep_only({"b"}, {chat});
  meter.read(chat, "b", 31);
  EXPECT_EQ(meter.total(chat), 561) << "what a pod did that is gone stays";
  meter.keep_only({}, {});
  EXPECT_EQ(meter.total(chat), 0);
}

}  // namespace
}  // namespace millrace::controller
