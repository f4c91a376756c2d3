// The controller over a cluster in memory: which of many deployments it turns to first, and what it does while it does
// not lead.
#include "operator/reconcile/controller.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <optional>
#include <thread>

#include "common/log.h"
#include "operator/local/memory_cluster.h"
#include "tests/operator/reconcile/fake_agents.h"
#include "tests/operator/reconcile/world.h"

namespace millrace::controller {
namespace {

using std::chrono::seconds;

bool eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// A thousand deployments whose spec is refused: all that a reconcile does is to write its status.
class ManyDeployments : public ::testing::Test {
 protected:
  static constexpr int kCount = 1000;

  ManyDeployments() {
    common::configure_log(common::LogFormat::kText, common::LogLevel::kError);
    for (int i = 0; i < kCount; ++i) {
      kube::Object object(kube::kModelDeployment, key(i));
      object.json()["spec"] = {{"model", {{"source", "file:///models/m"}}}, {"parallelism", {{"tensor", 3}}}};
      cluster_.create(kube::kModelDeployment, object);
    }
    options_.workers = 1;
    options_.may_write = [this] { return leads_.load(); };
  }

  static kube::ObjectKey key(int i) { return {"default", "m-" + std::to_string(10000 + i)}; }

  // How many deployments have been looked at.
  int told() {
    int count = 0;
    for (const kube::Object& object : cluster_.list(kube::kModelDeployment, {}).items) {
      count += object.json().contains("status") ? 1 : 0;
    }
    return count;
  }

  // How many of them before this one. Everybody is told once, so versions are the order.
  int told_before(const kube::ObjectKey& key) {
    const auto version = [](const kube::Object& object) { return std::stoull(object.resource_version()); };
    const auto then = version(*cluster_.get(kube::kModelDeployment, key));
    int count = 0;
    for (const kube::Object& object : cluster_.list(kube::kModelDeployment, {}).items) {
      count += version(object) < then ? 1 : 0;
    }
    return count;
  }

  local::MemoryCluster cluster_;
  testing::FakeAgents agents_;
  std::atomic<bool> leads_{false};
  ControllerOptions options_;
};

TEST_F(ManyDeployments, AUsersEditOvertakesAThousandQueuedResyncs) {
  HttpAgentClients others;
  Controller controller(cluster_, {agents_, others.experts, others.prompts}, options_);
  controller.start();
  ASSERT_TRUE(eventually([&] { return controller.synced() && controller.queue().depth() == std::size_t{kCount}; }));
  const std::string version =
      cluster_.patch(kube::kModelDeployment, key(kCount - 1), {{"spec", {{"replicas", 7}}}}).resource_version();
  const kube::Informer& deployments = *controller.informers().front();
  ASSERT_TRUE(eventually([&] { return deployments.store().get(key(kCount - 1))->resource_version() == version; }));
  leads_ = true;
  ASSERT_TRUE(eventually([&] { return told() == kCount; }));
  EXPECT_LE(told_before(key(kCount - 1)), 1) << "a worker may have had a key in its hands";
}

TEST_F(ManyDeployments, AStandbyLeavesKeysInTheirPlaces) {
  HttpAgentClients others;
  Controller controller(cluster_, {agents_, others.experts, others.prompts}, options_);
  controller.start();
  ASSERT_TRUE(eventually([&] { return controller.synced() && controller.queue().depth() == std::size_t{kCount}; }));
  EXPECT_EQ(controller.queue().delayed(), 0U);
  EXPECT_EQ(told(), 0);
  leads_ = true;
  EXPECT_TRUE(eventually([&] { return told() == kCount; }));
}

// A deployment that serves with a group in zone a and one in zone b, and an operator that does not lead.
class Standby : public ::testing::Test {
 protected:
  Standby() {
    world_.apply({{"replicas", 2}});
    EXPECT_TRUE(world_.settle());
    for (const kube::Object& pod : world_.pods()) {
      pods_[pod.label(kZoneLabel).value_or("")] = pod;
      agents_.start(ip(pod));
      agents_.set(ip(pod), common::AgentPhase::kServing);
    }
    options_.workers = 1;
    options_.may_write = [this] { return leads_.load(); };
    controller_.emplace(world_.cluster, AgentClients{agents_, others_.experts, others_.prompts}, options_);
    controller_->start();
  }

  static std::string ip(const kube::Object& pod) { return pod.string_at("/status/podIP"); }
  bool has_heard(const kube::Object& pod) {
    const auto evidence = controller_->evidence(pod.uid());
    return evidence && evidence->answered;
  }

  testing::World world_;
  std::map<std::string, kube::Object> pods_;  // by zone
  testing::FakeAgents agents_;
  HttpAgentClients others_;
  std::atomic<bool> leads_{false};
  ControllerOptions options_;
  std::optional<Controller> controller_;
};

TEST_F(Standby, KnowsOfAgentsAndZonesWhatTheLeaderKnowsAndChangesNothing) {
  const std::uint64_t version = world_.cluster.version();
  ASSERT_TRUE(eventually([&] { return has_heard(pods_["a"]) && has_heard(pods_["b"]); }));
  EXPECT_FALSE(controller_->is_doubted("node-a"));
  agents_.stop(ip(pods_["a"]));
  ASSERT_TRUE(eventually([&] { return controller_->is_doubted("node-a"); }));
  EXPECT_FALSE(controller_->is_doubted("node-b"));
  EXPECT_FALSE(controller_->is_doubted("node-of-another-cluster"));
  EXPECT_EQ(world_.cluster.version(), version);
  EXPECT_TRUE(agents_.pushes(ip(pods_["b"])).empty());
  leads_ = true;
  const auto out_of_traffic = [&] {
    return !testing::World::is_routable(*world_.cluster.get(kube::kPod, pods_["a"].key()));
  };
  EXPECT_TRUE(eventually(out_of_traffic));
  EXPECT_TRUE(testing::World::is_routable(*world_.cluster.get(kube::kPod, pods_["b"].key())));
}

TEST_F(Standby, LooksUpTheAgentsOfDeploymentsThatCameLater) {
  ASSERT_TRUE(eventually([&] { return has_heard(pods_["a"]); }));
  world_.apply({{"replicas", 3}});
  ASSERT_TRUE(world_.settle());
  for (const kube::Object& pod : world_.pods()) {
    agents_.start(ip(pod));
    EXPECT_TRUE(eventually([&] { return has_heard(pod); }));
  }
}

}  // namespace
}  // namespace millrace::controller
