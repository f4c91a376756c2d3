#include "operator/reconcile/gate_writer.h"

#include <gtest/gtest.h>

#include "operator/reconcile/observe.h"
#include "tests/operator/reconcile/world.h"

namespace millrace::controller {
namespace {

// A group of one pod.
class GateWriterTest : public ::testing::Test {
 protected:
  GateWriterTest() {
    world_.apply({{"replicas", 1}});
    world_.reconcile();
    client_.writes = 0;
  }

  // What the cluster has now.
  Observed observe() {
    Observed observed;
    const kube::Object pod = world_.cluster.list(kube::kPod, {}).items.at(0);
    GroupView group;
    group.pods.push_back(pod_view(pod, [](const std::string&) { return std::nullopt; }));
    observed.groups.push_back(std::move(group));
    return observed;
  }

  // False when it threw.
  bool set(bool open, const Observed& observed) {
    const std::string& pod = observed.groups[0].pods[0].name;
    return !writer_.write(kDeployment, {{pod, open, open ? "Serving" : "NotServing"}}, observed).at(0);
  }

  const kube::ObjectKey kDeployment{"default", "m"};
  testing::World world_;
  testing::CountingClient& client_ = world_.client;
  GateWriter writer_{world_.client, [this] { return world_.now; }};
};

TEST_F(GateWriterTest, SaysNothingTwiceToACacheThatIsBehind) {
  const Observed before = observe();
  ASSERT_TRUE(set(true, before));
  EXPECT_EQ(observe().groups[0].pods[0].gate, true);
  EXPECT_TRUE(writer_.write(kDeployment, {{before.groups[0].pods[0].name, true, "Serving"}}, before).empty());
  EXPECT_EQ(client_.writes, 1);
}

TEST_F(GateWriterTest, AnotherWordIsSaidWhateverTheCacheShows) {
  const Observed before = observe();
  ASSERT_TRUE(set(true, before));
  ASSERT_TRUE(set(false, before));
  EXPECT_EQ(observe().groups[0].pods[0].gate, false);
  ASSERT_TRUE(set(true, before));
  EXPECT_EQ(observe().groups[0].pods[0].gate, true);
}

TEST_F(GateWriterTest, ThePodAsItIsNowIsToldAgain) {
  ASSERT_TRUE(set(true, observe()));
  ASSERT_TRUE(set(true, observe())) << "somebody may have closed it";
  EXPECT_EQ(client_.writes, 2);
}

TEST_F(GateWriterTest, WhatFailedIsSaidAgain) {
  const Observed before = observe();
  client_.break_at = 0;
  EXPECT_FALSE(set(true, before));
  EXPECT_TRUE(set(true, before));
  EXPECT_EQ(observe().groups[0].pods[0].gate, true);
}

TEST_F(GateWriterTest, ForgetsADeploymentThatIsGone) {
  const Observed before = observe();
  ASSERT_TRUE(set(true, before));
  writer_.forget(kDeployment);
  ASSERT_TRUE(set(true, before));
  EXPECT_EQ(client_.writes, 2);
}

}  // namespace
}  // namespace millrace::controller
