#include "operator/plan/failback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "operator/plan/plan.h"
#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::GroupBuilder;
using ::testing::HasSubstr;
using testing::kNow;
using testing::node_in;

// Groups have served for five minutes, zones have been well for ten.
class Failback : public ::testing::Test {
 protected:
  Failback() {
    input.nodes = {node_in("a"), node_in("b"), node_in("c")};
    for (const char* zone : {"a", "b", "c"}) state(zone, ZoneState::kHealthy);
  }

  void state(const std::string& zone, ZoneState state, minutes since = minutes(10)) {
    input.zones[zone] = {state, kNow - since, {}, ""};
  }
  void group(int index, const std::string& zone) {
    input.groups.push_back(GroupBuilder("r1", index).routed().zone(zone).build());
  }
  FailbackPlan plan(int replicas) {
    input.spec.replicas = replicas;
    input.target.shares = {{"r1", replicas}};
    input.supply = supply_of(input.spec, input.nodes);
    for (ZoneSupply& zone : input.supply.zones) zone.open = input.zones.at(zone.name).takes_groups();
    return plan_failback(input.view(), kNow);
  }

  testing::GivenMoves input;
};

TEST_F(Failback, OneGroupGoesBackToAZoneThatStandsEmpty) {
  group(0, "b");
  group(1, "c");
  group(2, "b");
  const FailbackPlan result = plan(3);
  ASSERT_TRUE(result.move);
  EXPECT_EQ(result.move->group, "m-r1-2");
  EXPECT_EQ(result.move->reason, "ZoneFailback");
  EXPECT_EQ(result.move->urgency, Urgency::kWhenSpare);
  EXPECT_EQ(result.move->message, "zone b holds 2 groups and zone a 0");
}

TEST_F(Failback, NothingMovesWhereTheSpreadWouldNotBeBetter) {
  group(0, "b");
  group(1, "c");
  EXPECT_FALSE(plan(2).move);
}

TEST_F(Failback, TheMoveStaysWantedUntilTheSuccessorServes) {
  group(0, "b");
  group(1, "c");
  group(2, "b");
  input.groups.push_back(GroupBuilder("r1", 3).loading().zone("a").build());
  ASSERT_TRUE(plan(3).move);
  input.groups.back() = GroupBuilder("r1", 3).routed().zone("a").build();
  input.groups.back().pods[0].created = kNow - seconds(20);
  input.groups.back().pods[0].gate_since = kNow;
  ASSERT_TRUE(plan(3).move);
  EXPECT_EQ(plan(3).move->group, "m-r1-2");
}

TEST_F(Failback, WaitsUntilTheZoneHasBeenWellForLong) {
  group(0, "b");
  group(1, "b");
  state("a", ZoneState::kHealthy, minutes(3));
  state("c", ZoneState::kFailed);
  const FailbackPlan result = plan(2);
  EXPECT_FALSE(result.move);
  EXPECT_GE(result.look_again, minutes(2));
  EXPECT_LE(result.look_again, minutes(2) + seconds(1));
}

TEST_F(Failback, WaitsUntilTheGroupsHaveBeenCalmForLong) {
  group(0, "b");
  group(1, "b");
  input.groups[1].pods[0].gate_since = kNow - seconds(30);
  EXPECT_FALSE(plan(2).move);
  EXPECT_GT(plan(2).look_again, minutes(4));
}

TEST_F(Failback, NeverWhenAGroupDoesNotServe) {
  group(0, "b");
  group(1, "b");
  group(2, "b");
  input.groups[0].pods[0].gate = false;
  EXPECT_FALSE(plan(3).move);
}

TEST_F(Failback, NeverWhileSomethingElseIsUnderWay) {
  group(0, "b");
  group(1, "b");
  EXPECT_TRUE(plan(2).move);
  EXPECT_FALSE(plan(3).move) << "a group is about to be made";
  input.groups.push_back(GroupBuilder("r1", 5).routed().retiring(seconds(1)).zone("b").build());
  EXPECT_FALSE(plan(2).move) << "a group leaves";
  input.groups.back() = GroupBuilder("r0", 5).routed().zone("b").build();
  EXPECT_FALSE(plan(2).move) << "a rollout";
}

TEST_F(Failback, NeverWithoutASurge) {
  group(0, "b");
  group(1, "b");
  input.spec.rollout.max_surge = {0, false};
  input.spec.rollout.max_unavailable = {1, false};
  EXPECT_FALSE(plan(2).move);
}

TEST_F(Failback, NeverIntoAZoneThatIsNotHealthy) {
  group(0, "b");
  group(1, "b");
  for (const ZoneState doubt : {ZoneState::kSuspect, ZoneState::kFailed, ZoneState::kRecovering}) {
    state("a", doubt);
    state("c", doubt);
    EXPECT_FALSE(plan(2).move) << to_string(doubt);
  }
}

TEST_F(Failback, GivesUpAZoneThatHasNoRoomForTheSuccessor) {
  group(0, "b");
  group(1, "c");
  group(2, "b");
  input.groups.push_back(GroupBuilder("r1", 3)
                             .zone("a")
                             .set([](GroupView& view) {
                               view.pods[0].unschedulable = "0/3 nodes are available";
                               view.pods[0].created = kNow - seconds(30);
                             })
                             .build());
  EXPECT_TRUE(plan(3).move);
  EXPECT_GT(plan(3).look_again, seconds(29));
  input.groups.back().pods[0].created = kNow - seconds(61);
  EXPECT_FALSE(plan(3).move);
  EXPECT_EQ(plan(3).full_zone, "a");
  input.groups.pop_back();
  input.memory.full_zones["a"] = kNow + minutes(60);
  EXPECT_FALSE(plan(3).move);
}

TEST_F(Failback, TheSpareZoneIsEmptiedWhenItIsNoLongerNeeded) {
  input.spec.failover.reserve = Reserve::kSpareZone;
  group(0, "a");
  group(1, "c");
  const FailbackPlan result = plan(2);
  ASSERT_TRUE(result.move);
  EXPECT_EQ(result.move->group, "m-r1-1");
  EXPECT_EQ(result.move->message, "zone c is the spare one");
  state("b", ZoneState::kFailed);
  EXPECT_FALSE(plan(2).move);
}

// A zone that fails for a moment every few minutes never gets its groups back, however long that goes on.
TEST_F(Failback, AZoneThatFlapsMoreOftenThanTheSoakGetsNothing) {
  group(0, "b");
  group(1, "b");
  state("c", ZoneState::kFailed);
  for (int minute = 0; minute < 5; ++minute) {
    state("a", ZoneState::kHealthy, minutes(minute));
    EXPECT_FALSE(plan(2).move) << minute;
  }
  state("a", ZoneState::kHealthy, minutes(5));
  EXPECT_TRUE(plan(2).move);
}

// From any spread over three zones, moves come to an end, each makes the spread better, and in the end it is even.
TEST_F(Failback, EndsWithAnEvenSpread) {
  for (int a = 0; a <= 4; ++a) {
    for (int b = 0; b <= 4; ++b) {
      for (int c = 0; c <= 4; ++c) {
        if (a + b + c == 0) continue;
        std::map<std::string, int> zones{{"a", a}, {"b", b}, {"c", c}};
        int moves = 0;
        while (true) {
          input.groups.clear();
          for (const auto& [zone, groups] : zones) {
            for (int i = 0; i < groups; ++i) group(static_cast<int>(input.groups.size()), zone);
          }
          const FailbackPlan result = plan(a + b + c);
          if (!result.move) break;
          ASSERT_LT(++moves, 10);
          // What the rollout then does: the successor goes where pick_zone says.
          std::map<std::string, ZoneUse> use;
          for (const GroupView& view : input.groups) {
            use[view.zone].all += 1;
            use[view.zone].current += view.name == result.move->group ? 0 : 1;
            if (view.name == result.move->group) --zones[view.zone];
          }
          ++zones[pick_zone(input.supply, 1, use)];
        }
        const auto [least, most] = std::minmax({zones["a"], zones["b"], zones["c"]});
        EXPECT_LE(most - least, 1) << a << " " << b << " " << c;
      }
    }
  }
}

}  // namespace
}  // namespace millrace::controller
