#include "operator/reconcile/status_writer.h"

#include <gtest/gtest.h>

#include "tests/operator/reconcile/world.h"

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;
using testing::World;

class StatusWriterTest : public ::testing::Test {
 protected:
  StatusWriterTest() {
    world_.apply({{"replicas", 1}});
    input_.deployment = "m";
    input_.generation = 1;
  }

  milliseconds write(bool acted) { return writer_.write(world_.deployment(), input_, acted); }
  bool told() { return world_.deployment().at("/status/observedGeneration") == input_.generation; }

  World world_;
  StatusInput input_;
  StatusWriter writer_{world_.client, nullptr, [this] { return world_.now; }};
};

TEST_F(StatusWriterTest, LeavesWhatALookDidToTheNextOne) {
  EXPECT_EQ(write(true), kStatusPatience);
  EXPECT_FALSE(told());
  write(false);
  EXPECT_TRUE(told());
}

TEST_F(StatusWriterTest, WaitsForAMomentOnly) {
  write(true);
  world_.now += kStatusPatience - milliseconds(1);
  EXPECT_EQ(write(true), milliseconds(1)) << "from the first time, however often";
  world_.now += milliseconds(1);
  write(true);
  EXPECT_TRUE(told());
}

TEST_F(StatusWriterTest, TellsAtOnceWhatAPersonHasToKnow) {
  input_.error = "pods is forbidden";
  write(true);
  EXPECT_TRUE(told());
  input_.error.clear();
  input_.missing = "Secret keys does not exist";
  input_.generation = 2;
  write(true);
  EXPECT_TRUE(told());
}

TEST_F(StatusWriterTest, WritesNothingTwice) {
  write(false);
  const int writes = world_.client.writes;
  EXPECT_EQ(write(true), milliseconds(0)) << "nothing is new";
  world_.now += std::chrono::hours(1);
  write(false);
  EXPECT_EQ(world_.client.writes, writes);
}

TEST_F(StatusWriterTest, DoesNotWriteOverAVersionThatItReplacedItself) {
  const kube::Object before = world_.deployment();
  ASSERT_EQ(writer_.write(before, input_, false), milliseconds(0));
  input_.generation = 2;
  const int writes = world_.client.writes;
  EXPECT_EQ(writer_.write(before, input_, false), kStatusPatience) << "the cache is behind, and will say more";
  EXPECT_FALSE(writer_.store(before, {{"observedGeneration", 2}}));
  EXPECT_EQ(world_.client.writes, writes);
  write(false);
  EXPECT_TRUE(told());
}

TEST(Reconciler, TellsOfANewDeploymentInThreeWrites) {
  World world;
  world.apply({{"replicas", 1}});
  int writes = 0;
  for (int i = 0; i < 10; ++i) {
    const std::string before = world.deployment().resource_version();
    world.reconcile();
    if (world.deployment().resource_version() != before) ++writes;
    world.run_pods();
    world.run_agents();
  }
  EXPECT_LE(writes, 3);
  EXPECT_EQ(world.condition("Ready"), "True");
}

}  // namespace
}  // namespace millrace::controller
