#include "operator/plan/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::controller {
namespace {

NodeView free_node(const std::string& name, const std::string& zone, const std::string& gpus = "8") {
  return {name, zone, true, {{"cpu", "32"}, {"nvidia.com/gpu", gpus}}};
}

Spec gpu_spec(int tensor, int per_pod) {
  Spec spec;
  spec.parallelism.tensor = tensor;
  spec.devices = {"nvidia.com/gpu", per_pod};
  return spec;
}

TEST(Placement, SpreadsGroupsEvenlyAndByName) {
  const Supply supply = supply_of(gpu_spec(8, 8), {free_node("n1", "b"), free_node("n2", "a"), free_node("n3", "c")});
  std::map<std::string, ZoneUse> use;
  std::string order;
  for (int i = 0; i < 6; ++i) {
    const std::string zone = pick_zone(supply, 1, use);
    ++use[zone].current;
    ++use[zone].all;
    order += zone;
  }
  EXPECT_EQ(order, "abcabc");
}

TEST(Placement, AvoidsAZoneThatHoldsGroupsOnTheirWayOut) {
  const Supply supply = supply_of(gpu_spec(8, 8), {free_node("n1", "a"), free_node("n2", "b")});
  EXPECT_EQ(pick_zone(supply, 1, {{"a", {0, 1}}}), "b");
}

TEST(Placement, PrefersAZoneThatCanHoldAWholeGroup) {
  const Supply supply = supply_of(gpu_spec(16, 8), {free_node("n1", "a"), free_node("n2", "b"), free_node("n3", "b")});
  EXPECT_EQ(pick_zone(supply, 2, {}), "b");
  EXPECT_EQ(supply.shortage, "");
}

TEST(Placement, UsesOnlyTheZonesOfTheSpec) {
  Spec spec = gpu_spec(1, 1);
  spec.zones = {"b"};
  const Supply supply = supply_of(spec, {free_node("n1", "a"), free_node("n2", "b")});
  ASSERT_EQ(supply.zones.size(), 1U);
  EXPECT_EQ(supply.zones[0].name, "b");
}

TEST(Placement, NamesTheResourceThatNoNodeHasEnoughOf) {
  const Supply supply = supply_of(gpu_spec(16, 16), {free_node("n1", "a")});
  EXPECT_THAT(supply.shortage, ::testing::HasSubstr("a pod needs 16 of nvidia.com/gpu, and node n1 has 8"));
}

TEST(Placement, SaysWhenNoZoneHoldsAWholeGroup) {
  const Supply supply = supply_of(gpu_spec(16, 8), {free_node("n1", "a"), free_node("n2", "b")});
  EXPECT_THAT(supply.shortage, ::testing::HasSubstr("2 pods in one zone"));
}

TEST(Placement, PutsNothingNewOnNodesThatTakeNoPods) {
  NodeView cordoned = free_node("n1", "a");
  cordoned.schedulable = false;
  const Supply supply = supply_of(gpu_spec(1, 1), {cordoned, free_node("n2", "b")});
  ASSERT_EQ(supply.zones.size(), 2U) << "groups of zone a stay where they are";
  EXPECT_EQ(supply.zones[0].pods_that_fit, 0);
  EXPECT_EQ(pick_zone(supply, 1, {{"b", {5, 5}}}), "b");
}

TEST(Placement, PutsNothingNewOnNodesToAvoid) {
  const Supply supply = supply_of(gpu_spec(1, 1), {free_node("n1", "a"), free_node("n2", "b")}, {"n1"});
  EXPECT_EQ(supply.zones[0].pods_that_fit, 0);
  EXPECT_EQ(pick_zone(supply, 1, {}), "b");
}

TEST(Placement, TheSpareZoneIsUsedWhenAnotherIsNotOpen) {
  Spec spec = gpu_spec(1, 1);
  spec.failover.reserve = Reserve::kSpareZone;
  Supply supply = supply_of(spec, {free_node("n1", "a"), free_node("n2", "b"), free_node("n3", "c")});
  EXPECT_TRUE(supply.zones[2].spare) << "the last by name";
  EXPECT_EQ(pick_zone(supply, 1, {{"a", {5, 5}}, {"b", {5, 5}}}), "a");
  supply.zones[0].open = false;
  EXPECT_EQ(pick_zone(supply, 1, {{"b", {5, 5}}}), "c");
}

TEST(Placement, WithoutAReserveAGroupBelongsToItsZoneAlsoWhileThatIsNotOpen) {
  Spec spec = gpu_spec(1, 1);
  spec.failover.reserve = Reserve::kNone;
  Supply supply = supply_of(spec, {free_node("n1", "a"), free_node("n2", "b")});
  supply.zones[0].open = false;
  EXPECT_EQ(pick_zone(supply, 1, {{"b", {1, 1}}}), "a");
  EXPECT_TRUE(waits_for(supply, "a"));
  EXPECT_FALSE(waits_for(supply, "b"));
  EXPECT_EQ(pick_zone(supply, 1, {{"a", {1, 1}}, {"b", {1, 1}}}), "b") << "what could be anywhere is made";
}

TEST(Placement, AZoneThatIsNotOpenIsTheLastChoice) {
  Supply supply = supply_of(gpu_spec(1, 1), {free_node("n1", "a"), free_node("n2", "b")});
  supply.zones[0].open = false;
  EXPECT_EQ(pick_zone(supply, 1, {{"b", {5, 5}}}), "b");
  supply.zones[1].open = false;
  EXPECT_EQ(pick_zone(supply, 1, {{"b", {5, 5}}}), "a");
}

TEST(Placement, PlacesWithoutAZoneWhenNodesCarryNone) {
  const Supply supply = supply_of(gpu_spec(1, 1), {free_node("n1", "")});
  EXPECT_EQ(pick_zone(supply, 1, {}), "");
  EXPECT_EQ(pick_zone(supply_of(gpu_spec(1, 1), {}), 1, {}), "");
}

}  // namespace
}  // namespace millrace::controller
