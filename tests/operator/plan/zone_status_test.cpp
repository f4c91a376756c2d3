#include "operator/plan/zone_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using kube::Json;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::GroupBuilder;
using ::testing::HasSubstr;
using testing::kNow;

class ZoneStatus : public ::testing::Test {
 protected:
  ZoneStatus() {
    for (const char* zone : {"a", "b", "c"}) supply.zones.push_back({zone, 8});
  }
  void group(int index, const std::string& zone) {
    groups.push_back(GroupBuilder("r1", index).routed().zone(zone).build());
  }
  void state(const std::string& zone, ZoneState state, const std::string& reason = "it is said") {
    health[zone] = {state, kNow - minutes(1), {}, reason};
  }
  Json states(const Json& previous = nullptr, TimePoint now = kNow) const {
    return zone_states({groups, health, supply}, previous, now);
  }
  Redundancy redundancy() const { return redundancy_of({groups, health, supply}); }

  std::vector<GroupView> groups;
  ZoneHealths health;
  Supply supply;
};

TEST_F(ZoneStatus, ListsEveryZoneWithItsStateAndGroups) {
  group(0, "a");
  group(1, "a");
  state("b", ZoneState::kFailed);
  const Json list = states();
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[0], Json({{"name", "a"}, {"state", "Healthy"}, {"groups", 2}, {"since", "2026-01-02T12:00:00Z"}}));
  EXPECT_EQ(list[1], Json({{"name", "b"},
                           {"state", "Failed"},
                           {"groups", 0},
                           {"since", "2026-01-02T11:59:00Z"},
                           {"reason", "it is said"}}));
}

TEST_F(ZoneStatus, AStateThatStaysIsWrittenOnce) {
  state("b", ZoneState::kSuspect);
  const Json before = states();
  state("b", ZoneState::kSuspect, "another process found another reason");
  health["b"].since = kNow + seconds(30);
  EXPECT_EQ(states(before, kNow + minutes(5)), before);
}

TEST_F(ZoneStatus, ChangesAreToldAndZonesThatWereNeverIllAreNot) {
  EXPECT_TRUE(zone_changes(nullptr, states()).empty());
  const Json before = states();
  state("b", ZoneState::kFailed);
  const Json failed = states(before);
  const std::vector<ZoneChange> changes = zone_changes(before, failed);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].zone, "b");
  EXPECT_EQ(changes[0].state, "Failed");
  EXPECT_EQ(changes[0].reason, "it is said");
  EXPECT_TRUE(zone_changes(failed, states(failed)).empty());
}

TEST_F(ZoneStatus, IsRedundantWhenGroupsServeInTwoZones) {
  EXPECT_EQ(redundancy().reason, "NoGroupServes");
  group(0, "a");
  EXPECT_EQ(redundancy().reason, "OneGroup");
  group(1, "a");
  EXPECT_EQ(redundancy().reason, "OneZone");
  group(2, "b");
  EXPECT_TRUE(redundancy().redundant);
  EXPECT_EQ(redundancy().reason, "SpreadOverZones");
  EXPECT_EQ(redundancy().message, "groups serve in zones a, b");
}

TEST_F(ZoneStatus, AZoneWithoutTrafficIsNoRedundancy) {
  group(0, "a");
  group(1, "b");
  group(2, "b");
  state("a", ZoneState::kSuspect);
  EXPECT_FALSE(redundancy().redundant);
  EXPECT_EQ(redundancy().reason, "OneZone");
  EXPECT_THAT(redundancy().message, HasSubstr("zone a is Suspect"));
}

TEST_F(ZoneStatus, ASpareZoneThatIsNotWellIsNoReserve) {
  group(0, "a");
  group(1, "b");
  supply.zones[2].spare = true;
  supply.zones[2].open = false;
  EXPECT_EQ(redundancy().reason, "SpareZoneNotWell");
}

TEST_F(ZoneStatus, SaysWhenNodesCarryNoZones) {
  supply.zones = {{"", 8}};
  group(0, "");
  group(1, "");
  EXPECT_EQ(redundancy().reason, "NoZones");
  EXPECT_TRUE(states().empty());
}

}  // namespace
}  // namespace millrace::controller
