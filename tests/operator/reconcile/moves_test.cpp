// Groups that move, on a cluster in memory whose scheduler, kubelet and agents the test plays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "operator/reconcile/observe.h"
#include "tests/operator/reconcile/world.h"

namespace millrace::controller {
namespace {

using kube::Eviction;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::World;

class MovesTest : public ::testing::Test {
 protected:
  void deploy(int replicas, const Json& more = Json::object()) {
    Json spec = {{"replicas", replicas}};
    spec.update(more);
    world.apply(spec);
    ASSERT_TRUE(world.settle());
  }

  // Rounds of everybody until `done`; at most two minutes, with `check` in each.
  bool play_until(
      const std::function<bool()>& done, const std::function<void()>& check = [] {}) {
    for (int round = 0; round < 120; ++round) {
      world.reconcile();
      world.run_pods();
      world.run_agents();
      check();
      if (done()) return true;
      world.now += seconds(1);
    }
    return false;
  }

  void zone(const std::string& name, ZoneState state, const std::string& reason = "it is said") {
    world.zones[name] = {state, world.now, {}, reason};
  }
  std::map<std::string, int> groups_in_zones() {
    std::map<std::string, int> zones;
    for (const kube::Object& pod : world.pods()) ++zones[pod.label(kZoneLabel).value_or("")];
    return zones;
  }
  std::string message(const std::string& type) {
    const kube::Object object = world.deployment();
    for (const Json& condition : object.at("/status/conditions")) {
      if (condition["type"] == type) return condition["message"];
    }
    return "";
  }
  Json zone_state(const std::string& name) {
    const kube::Object object = world.deployment();
    for (const Json& zone : object.at("/status/zoneStates")) {
      if (zone["name"] == name) return zone;
    }
    return nullptr;
  }

  World world;
};

TEST_F(MovesTest, ADrainIsHeldBackUntilTheGroupHasMovedAndThenLetThrough) {
  deploy(2);
  ASSERT_EQ(world.pods_on("node-a").size(), 1U);
  const kube::ObjectKey old = world.pods_on("node-a")[0].key();
  world.cordon("a");
  EXPECT_EQ(world.cluster.evict(old, std::nullopt), Eviction::kBlocked);
  const auto leaves = [&] {
    const auto pod = world.cluster.get(kube::kPod, old);
    return pod && !World::is_routable(*pod);
  };
  ASSERT_TRUE(play_until(leaves, [&] { EXPECT_GE(world.routable(), 2); }));
  EXPECT_EQ(world.routable(), 2) << "the successor serves";
  world.run_pods();
  EXPECT_EQ(world.cluster.evict(old, std::nullopt), Eviction::kEvicted);
  ASSERT_TRUE(world.settle());
  EXPECT_TRUE(world.pods_on("node-a").empty());
  EXPECT_EQ(world.pods().size(), 2U);
  EXPECT_EQ(world.condition("Ready"), "True");
}

TEST_F(MovesTest, StreamsFinishBeforeTheGroupIsDeleted) {
  deploy(2);
  const kube::Object old = world.pods_on("node-a")[0];
  world.probe.known[old.uid()].status.in_flight = 3;
  world.cordon("a");
  EXPECT_FALSE(play_until([&] { return !world.cluster.get(kube::kPod, old.key()); }));
  EXPECT_TRUE(world.probe.is_draining(*old.label(kGroupLabel)));
  EXPECT_FALSE(world.cluster.get(kube::kPod, old.key())->is_deleted());
  world.probe.known[old.uid()].status.in_flight = 0;
  EXPECT_TRUE(play_until([&] { return !world.cluster.get(kube::kPod, old.key()); }));
}

TEST_F(MovesTest, SaysInStatusWhatMovesAndWhy) {
  deploy(2);
  world.cordon("a");
  world.reconcile();
  world.reconcile();
  EXPECT_EQ(world.condition("Ready"), "False");
  EXPECT_THAT(message("Ready"), HasSubstr("moves: node node-a is cordoned"));
}

TEST_F(MovesTest, AZoneInDoubtIsOutOfTrafficWithoutItsKubeletsAndComesBackWithThem) {
  deploy(2);
  const kube::ObjectKey pod = world.pods_on("node-a")[0].key();
  const auto view = [&] {
    return pod_view(*world.cluster.get(kube::kPod, pod), [](const std::string&) { return std::nullopt; });
  };
  ASSERT_TRUE(view().ready);
  EXPECT_FALSE(view().doubt_answered);
  zone("a", ZoneState::kSuspect);
  world.reconcile();
  EXPECT_FALSE(view().ready) << "its kubelet may be unable to say so";
  EXPECT_EQ(view().doubt_answered, false);
  const std::string version = world.cluster.get(kube::kPod, pod)->resource_version();
  world.reconcile();
  EXPECT_EQ(world.cluster.get(kube::kPod, pod)->resource_version(), version) << "it was said";
  world.run_pods();
  EXPECT_EQ(view().doubt_answered, true) << "the kubelet is there";
  zone("a", ZoneState::kHealthy);
  world.reconcile();
  EXPECT_TRUE(view().gate.value_or(false));
  EXPECT_FALSE(view().ready) << "that is for the kubelet to say";
  world.run_pods();
  EXPECT_TRUE(view().ready);
  zone("a", ZoneState::kSuspect);
  world.reconcile();
  EXPECT_FALSE(view().ready) << "each time";
  zone("a", ZoneState::kHealthy);
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.routable(), 2);
}

TEST_F(MovesTest, WithoutASpareDeviceTheGroupLeavesFirst) {
  deploy(2, {{"rollout", {{"maxSurge", 0}, {"maxUnavailable", 1}}}});
  world.cordon("a");
  ASSERT_TRUE(play_until([&] { return world.pods_on("node-a").empty() && world.routable() == 2; },
                         [&] {
                           EXPECT_LE(world.pods().size(), 2U);
                           EXPECT_GE(world.routable(), 1);
                         }));
}

TEST_F(MovesTest, ACordonThatIsTakenBackLeavesTheGroupWhereItIs) {
  deploy(2);
  const std::string old = world.pods_on("node-a")[0].name();
  world.cordon("a");
  world.reconcile();
  EXPECT_EQ(world.pods().size(), 3U);
  world.cordon("a", false);
  ASSERT_TRUE(world.settle());
  ASSERT_EQ(world.pods().size(), 2U);
  EXPECT_EQ(world.pods_on("node-a").at(0).name(), old);
}

TEST_F(MovesTest, OnANodeThatIsLostInAMomentTheDrainBeginsAtOnce) {
  deploy(2);
  const kube::Object old = world.pods_on("node-a")[0];
  world.taint("a", "aws-node-termination-handler/spot-itn");
  world.reconcile();
  EXPECT_FALSE(World::is_routable(*world.cluster.get(kube::kPod, old.key())));
  EXPECT_EQ(world.pods().size(), 3U) << "the successor is made at the same time";
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.condition("Ready"), "True");
}

TEST_F(MovesTest, AnOperatorThatRestartsInTheMiddleGoesOn) {
  deploy(3);
  world.cordon("a");
  world.reconcile();
  std::size_t most = 0;
  for (int i = 0; i < 40; ++i) {
    if (i % 3 == 0) world.restart_operator();
    world.reconcile();
    world.run_pods();
    world.run_agents();
    world.now += seconds(1);
    most = std::max(most, world.pods().size());
  }
  EXPECT_LE(most, 4U);
  EXPECT_EQ(world.pods().size(), 3U);
  EXPECT_TRUE(world.pods_on("node-a").empty());
}

TEST_F(MovesTest, GroupsGoBackToAZoneThatHasStayedWellOneAtATime) {
  deploy(4);  // two of them in zone a
  zone("a", ZoneState::kFailed);
  ASSERT_TRUE(play_until([&] { return world.routable() == 4 && groups_in_zones()["a"] == 0; }));
  zone("a", ZoneState::kRecovering);
  world.reconcile();
  zone("a", ZoneState::kHealthy);
  ASSERT_FALSE(play_until([&] { return groups_in_zones()["a"] > 0; })) << "not before the soak has passed";
  world.now += minutes(5);
  const auto never_fewer = [&] {
    EXPECT_GE(world.routable(), 4);
    EXPECT_LE(world.pods().size(), 5U);
  };
  ASSERT_TRUE(play_until([&] { return groups_in_zones()["a"] == 1 && world.pods().size() == 4; }, never_fewer));
  world.now += minutes(6);
  ASSERT_FALSE(play_until([&] { return world.pods().size() > 4; })) << "the spread cannot get better";
  EXPECT_EQ(world.condition("Ready"), "True");
}

TEST_F(MovesTest, AZoneThatHasNoRoomIsLeftAloneForAWhile) {
  deploy(2);
  zone("a", ZoneState::kFailed);
  zone("b", ZoneState::kFailed);
  ASSERT_TRUE(
      play_until([&] { return world.routable() == 2 && world.pods().size() == 2 && groups_in_zones()["c"] == 2; }));
  zone("a", ZoneState::kHealthy);
  world.now += minutes(6);
  world.reconcile();
  ASSERT_EQ(groups_in_zones()["a"], 1);
  // The scheduler finds no node for it.
  const auto unscheduled = [&] {
    for (const kube::Object& pod : world.pods()) {
      if (pod.label(kZoneLabel) == "a") return pod;
    }
    return kube::Object();
  }();
  kube::Object report(kube::kPod, unscheduled.key());
  report.json()["status"] = {
      {"phase", "Pending"},
      {"conditions", {{{"type", "PodScheduled"}, {"status", "False"}, {"message", "Insufficient cpu"}}}}};
  kube::ApplyOptions options;
  options.subresource = "status";
  options.field_manager = "kubelet";
  world.cluster.apply(kube::kPod, report, options);
  for (int i = 0; i < 90; ++i) {
    world.reconcile();
    world.now += seconds(1);
  }
  for (int i = 0; i < 600; ++i) {
    world.reconcile();
    for (const kube::Object& pod : world.pods()) {
      if (pod.is_deleted()) world.run_pods();
    }
    world.now += seconds(1);
  }
  EXPECT_EQ(groups_in_zones()["a"], 0);
  EXPECT_EQ(world.condition("Ready"), "True");
}

TEST_F(MovesTest, ZonesAreInStatusAndNothingIsWrittenAtRest) {
  deploy(3);
  EXPECT_EQ(zone_state("a")["state"], "Healthy");
  EXPECT_EQ(zone_state("a")["groups"], 1);
  EXPECT_EQ(world.condition("ZoneRedundant"), "True");
  zone("a", ZoneState::kSuspect, "1 of 1 agents do not answer");
  EXPECT_FALSE(play_until([] { return false; })) << "two minutes pass";
  EXPECT_EQ(zone_state("a")["state"], "Suspect");
  EXPECT_EQ(zone_state("a")["reason"], "1 of 1 agents do not answer");
  EXPECT_EQ(world.condition("ZoneRedundant"), "True") << "two zones are left";
  const int writes = world.client.writes;
  zone("a", ZoneState::kSuspect, "a new process, another reason");
  world.now += minutes(10);
  world.restart_operator();
  world.run_agents();
  for (int i = 0; i < 10; ++i) world.reconcile();
  EXPECT_EQ(world.client.writes, writes);
}

TEST_F(MovesTest, WithoutAReserveNothingIsMadeForAFailedZoneUntilItIsBack) {
  deploy(3, {{"failover", {{"reserve", "None"}}}});
  zone("a", ZoneState::kFailed);
  EXPECT_FALSE(play_until([&] { return world.pods().size() > 2 && groups_in_zones()["a"] == 0; }));
  EXPECT_EQ(groups_in_zones(), (std::map<std::string, int>{{"b", 1}, {"c", 1}}));
  EXPECT_THAT(message("Ready"), HasSubstr("1 group of zone a wait"));
  zone("a", ZoneState::kHealthy);
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(groups_in_zones()["a"], 1);
}

TEST_F(MovesTest, TheSpareZoneTakesTheGroupsOfAFailedOneAndGivesThemBack) {
  deploy(2, {{"failover", {{"reserve", "SpareZone"}, {"failbackAfterSeconds", 60}}}});
  EXPECT_EQ(groups_in_zones(), (std::map<std::string, int>{{"a", 1}, {"b", 1}}));
  zone("b", ZoneState::kFailed);
  ASSERT_TRUE(play_until([&] { return groups_in_zones() == std::map<std::string, int>{{"a", 1}, {"c", 1}}; }));
  ASSERT_TRUE(play_until([&] { return world.routable() == 2; }));
  zone("b", ZoneState::kHealthy);
  ASSERT_TRUE(play_until(
      [&] {
        return groups_in_zones() == std::map<std::string, int>{{"a", 1}, {"b", 1}};
      },
      [&] { EXPECT_GE(world.routable(), 2); }));
}

TEST_F(MovesTest, AGroupThatFailsAgainAndAgainLeavesItsNode) {
  deploy(2);
  const kube::Object pod = world.pods_on("node-a")[0];
  const auto crash = [&](int restarts) {
    kube::Object report(kube::kPod, pod.key());
    report.json()["status"] = {
        {"phase", "Running"},
        {"podIP", pod.string_at("/status/podIP")},
        {"conditions", {{{"type", "ContainersReady"}, {"status", "False"}}, {{"type", "Ready"}, {"status", "False"}}}},
        {"containerStatuses",
         {{{"name", "agent"},
           {"restartCount", restarts},
           {"state", {{"waiting", {{"reason", "CrashLoopBackOff"}}}}}}}}};
    kube::ApplyOptions options;
    options.subresource = "status";
    options.field_manager = "kubelet";
    world.cluster.apply(kube::kPod, report, options);
  };
  for (int restarts = 1; restarts < kStrikes; ++restarts) {
    crash(restarts);
    world.reconcile();
    world.now += seconds(20);
    EXPECT_EQ(world.pods().size(), 2U) << "after " << restarts;
  }
  crash(kStrikes);
  world.reconcile();
  ASSERT_GT(world.pods().size(), 2U);
  for (const kube::Object& other : world.pods()) {
    const bool is_new = other.string_at("/spec/nodeName").empty();
    EXPECT_EQ(other.at("/spec/affinity").dump().find("node-a") != std::string::npos, is_new);
  }
  world.reconcile();
  EXPECT_THAT(message("Ready"), HasSubstr("node node-a"));
  for (int i = 0; i < 90; ++i) {  // its back-off keeps it crashed
    if (world.cluster.get(kube::kPod, pod.key())) crash(kStrikes);
    world.reconcile();
    for (const kube::Object& other : world.pods()) {
      if (other.name() != pod.name() || other.is_deleted()) world.run_pods();
    }
    if (world.cluster.get(kube::kPod, pod.key())) crash(kStrikes);
    world.run_agents();
    world.now += seconds(1);
  }
  EXPECT_FALSE(world.cluster.get(kube::kPod, pod.key()));
  EXPECT_TRUE(world.pods_on("node-a").empty());
  EXPECT_EQ(world.routable(), 2);
}

}  // namespace
}  // namespace millrace::controller
