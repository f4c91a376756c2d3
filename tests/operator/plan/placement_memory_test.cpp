#include "operator/plan/placement_memory.h"

#include <gtest/gtest.h>

#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::GroupBuilder;
using testing::kNow;

// One group on n1 whose container has ended so often.
std::vector<GroupView> restarted(int times, const std::string& trouble = "CrashLoopBackOff") {
  return {GroupBuilder()
              .set([&](GroupView& group) {
                group.pods[0].restarts = times;
                group.pods[0].trouble_reason = trouble;
              })
              .build()};
}

bool is_bad(const PlacementMemory& memory, TimePoint now) {
  return memory.recall(now).bad_nodes.contains("n1");
}

TEST(PlacementMemory, ANodeIsBadAfterFourFailuresThere) {
  PlacementMemory memory;
  memory.see(restarted(0, ""), kNow);
  for (int i = 1; i < kStrikes; ++i) memory.see(restarted(i), kNow);
  EXPECT_FALSE(is_bad(memory, kNow));
  memory.see(restarted(kStrikes), kNow);
  EXPECT_TRUE(is_bad(memory, kNow));
}

TEST(PlacementMemory, TheSameFailureCountsOnce) {
  PlacementMemory memory;
  for (int i = 0; i < 20; ++i) memory.see(restarted(2), kNow + seconds(i));
  EXPECT_FALSE(is_bad(memory, kNow));
}

TEST(PlacementMemory, RestartsOfLongAgoDoNotCountUnlessThePodIsInTroubleNow) {
  PlacementMemory calm;
  calm.see(restarted(9, ""), kNow);
  EXPECT_FALSE(is_bad(calm, kNow));
  PlacementMemory troubled;
  troubled.see(restarted(9), kNow);
  EXPECT_TRUE(is_bad(troubled, kNow)) << "an operator that restarted need not see it all again";
}

TEST(PlacementMemory, EverythingExpires) {
  PlacementMemory memory;
  memory.see(restarted(kStrikes), kNow);
  memory.note_full("a", kNow);
  EXPECT_TRUE(memory.recall(kNow + minutes(29)).full_zones.contains("a"));
  EXPECT_FALSE(is_bad(memory, kNow + kNodeMemory + seconds(1)));
  EXPECT_FALSE(memory.recall(kNow + kZoneMemory).full_zones.contains("a"));
}

TEST(PlacementMemory, PodsThatEndOneAfterTheOtherAreCountedByName) {
  PlacementMemory memory;
  for (int i = 1; i <= kStrikes; ++i) {
    GroupView group = GroupBuilder().build();
    group.pods[0].uid = std::to_string(i);
    group.pods[0].phase = "Failed";
    memory.see({group}, kNow);
    memory.see({group}, kNow);
    EXPECT_EQ(memory.recall(kNow).ends.at(group.pods[0].name), i);
  }
  EXPECT_TRUE(is_bad(memory, kNow));
}

TEST(PlacementMemory, ManyNodesAreNotRememberedForEver) {
  PlacementMemory memory;
  for (int i = 0; i < 1000; ++i) {
    std::vector<GroupView> groups = restarted(kStrikes);
    groups[0].pods[0].node = "n" + std::to_string(i);
    groups[0].pods[0].uid = std::to_string(i);
    memory.see(groups, kNow + seconds(i));
  }
  EXPECT_LE(memory.recall(kNow + seconds(1000)).bad_nodes.size(), 32U);
}

TEST(PlacementMemory, WaitsLongerBeforeEachNewPodUpToFiveMinutes) {
  EXPECT_EQ(remake_delay(1), seconds(10));
  EXPECT_EQ(remake_delay(2), seconds(20));
  EXPECT_EQ(remake_delay(4), seconds(80));
  EXPECT_EQ(remake_delay(100), seconds(300));
}

}  // namespace
}  // namespace millrace::controller
