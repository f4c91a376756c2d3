// Who writes which number: the built-in autoscaler, spec.replicas and status, through the reconciler.
#include <gtest/gtest.h>

#include "tests/operator/reconcile/world.h"

namespace millrace::controller {
namespace {

using testing::World;

class Autoscaling : public ::testing::Test {
 protected:
  void apply(const Json& autoscaling, int replicas = 1) {
    world.apply({{"replicas", replicas}, {"autoscaling", autoscaling}});
  }

  // A second of everybody's life; every agent says that `queue` sequences wait.
  void second(std::int64_t queue) {
    world.run_pods();
    world.run_agents();
    for (auto& [uid, evidence] : world.probe.known) {
      const auto load = std::make_shared<common::AgentLoad>();
      load->queue = queue;
      load->running = queue > 0 ? 8 : 0;
      load->kv_usage = queue > 0 ? 0.6 : 0.0;
      evidence.status.load = load;
    }
    autoscaler.look(world.key);
    reconciler.reconcile(world.key);
    world.now += std::chrono::seconds(1);
  }
  void seconds(int count, std::int64_t queue) {
    for (int i = 0; i < count; ++i) second(queue);
  }

  Json status() { return world.deployment().at("/status"); }
  std::string reason(const std::string& type) {
    const Json now = status();
    for (const Json& condition : now.at("conditions")) {
      if (condition["type"] == type) return condition["reason"];
    }
    return "";
  }

  World world;
  Autoscaler autoscaler{AutoscalerOptions{[this](const std::string& uid) { return world.probe.evidence(uid); },
                                          [this] { return world.now; }, [](const kube::ObjectKey&) {}}};
  Reconciler reconciler{world.client, world.reader, world.probe, nullptr, [this] {
                          ReconcilerOptions options;
                          options.agent_image = "agent:1";
                          options.now = [this] { return world.now; };
                          options.autoscaler = &autoscaler;
                          return options;
                        }()};
};

TEST_F(Autoscaling, AQueueLeadsToMoreGroupsAndSpecReplicasStayAsWritten) {
  apply({{"maxReplicas", 4}, {"costPerReplicaHour", "2.5"}});
  seconds(10, 0);
  EXPECT_EQ(world.pods().size(), 1U);
  EXPECT_EQ(world.condition("AutoscalingActive"), "True");
  seconds(3, 20);
  EXPECT_EQ(status()["autoscaling"]["desiredReplicas"], 2);
  EXPECT_EQ(status()["autoscaling"]["reason"], "Queue");
  EXPECT_EQ(status()["autoscaling"]["cost"]["changePerHour"], "2.50");
  EXPECT_EQ(world.pods().size(), 2U);
  EXPECT_EQ(world.deployment().at("/spec/replicas"), 1) << "one writer: the user";
}

TEST_F(Autoscaling, ExternalLeavesTheNumberToSpecReplicasAndSaysSo) {
  apply({{"mode", "external"}}, 2);
  seconds(10, 50);
  EXPECT_EQ(world.pods().size(), 2U);
  EXPECT_EQ(world.condition("AutoscalingActive"), "False");
  EXPECT_EQ(reason("AutoscalingActive"), "External");
  EXPECT_FALSE(status().contains("autoscaling"));
}

TEST_F(Autoscaling, ZeroReplicasMeanNone) {
  apply({{"minReplicas", 2}, {"maxReplicas", 4}}, 0);
  seconds(5, 0);
  EXPECT_TRUE(world.pods().empty());
  EXPECT_EQ(reason("AutoscalingActive"), "ScaledToZero");
}

TEST_F(Autoscaling, NothingToSayNothingWritten) {
  apply({{"minReplicas", 2}, {"maxReplicas", 4}}, 2);
  seconds(20, 0);
  const int writes = world.client.writes;
  seconds(60, 0);
  EXPECT_EQ(world.client.writes, writes) << "a decision that confirms the last one is not written";
}

TEST_F(Autoscaling, ARestartedOperatorGoesOnFromStatus) {
  apply({{"maxReplicas", 4}});
  seconds(10, 0);
  seconds(5, 20);
  const std::size_t groups = world.pods().size();
  ASSERT_GT(groups, 1U);
  autoscaler.forget(world.key);  // as a new process: no decision, no history
  reconciler.reconcile(world.key);
  EXPECT_EQ(world.pods().size(), groups);
  seconds(20, 0);
  EXPECT_EQ(world.pods().size(), groups) << "the scale-down window begins anew";
}

TEST_F(Autoscaling, ADecisionIsInStatusBeforeAnythingFollowsFromIt) {
  apply({{"maxReplicas", 2}});
  seconds(10, 0);
  world.run_agents();
  const auto load = std::make_shared<common::AgentLoad>();
  load->queue = 20;
  for (auto& [uid, evidence] : world.probe.known) evidence.status.load = load;
  autoscaler.look(world.key);
  world.client.break_at = world.client.writes + 1;  // the process ends at the second write
  EXPECT_THROW(reconciler.reconcile(world.key), common::Error);
  EXPECT_EQ(status()["autoscaling"]["desiredReplicas"], 2);
  EXPECT_EQ(world.pods().size(), 1U);
}

TEST_F(Autoscaling, ARestartedOperatorKeepsTheReasonOfTheDecisionInForce) {
  apply({{"maxReplicas", 2}});
  seconds(10, 0);
  seconds(5, 20);
  const Json before = status()["autoscaling"];
  ASSERT_EQ(before["reason"], "Queue");
  autoscaler.forget(world.key);
  seconds(20, 20);
  EXPECT_EQ(status()["autoscaling"], before) << "decisions that only confirm it are not written";
}

TEST_F(Autoscaling, ARestartSoonAfterAScaleUpGivesNothingUpWithoutProofOfLessLoad) {
  apply({{"maxReplicas", 2}, {"behavior", {{"scaleDown", {{"stabilizationWindowSeconds", 0}}}}}});
  seconds(10, 0);
  seconds(5, 20);
  autoscaler.forget(world.key);
  seconds(300, 0);
  EXPECT_EQ(world.routable(), 2) << "as the first process would have done";
  seconds(400, 0);
  EXPECT_EQ(world.routable(), 1);
}

TEST_F(Autoscaling, SilentAgentsMakeItInactiveAndHoldTheNumber) {
  apply({{"maxReplicas", 4}}, 2);
  seconds(10, 0);
  for (int i = 0; i < 10; ++i) {
    for (auto& [uid, evidence] : world.probe.known) evidence.since_answer = std::chrono::seconds(6);
    autoscaler.look(world.key);
    reconciler.reconcile(world.key);
    world.now += std::chrono::seconds(1);
  }
  EXPECT_EQ(world.condition("AutoscalingActive"), "False");
  EXPECT_EQ(reason("AutoscalingActive"), "NoMetrics");
  EXPECT_EQ(status()["autoscaling"]["desiredReplicas"], 2);
}

}  // namespace
}  // namespace millrace::controller
