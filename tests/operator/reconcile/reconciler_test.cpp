#include "operator/reconcile/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/plan/revision.h"
#include "operator/resources/controller_revision.h"
#include "tests/operator/reconcile/world.h"

namespace millrace::controller {
namespace {

using common::AgentPhase;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::World;

TEST(Reconciler, MakesTheChildrenOfADeployment) {
  World world;
  world.apply({{"replicas", 2}});
  world.reconcile();
  EXPECT_TRUE(world.cluster.get(kube::kService, {"default", "m"}));
  EXPECT_TRUE(world.cluster.get(kube::kPodDisruptionBudget, {"default", "m"}));
  EXPECT_TRUE(world.cluster.get(kube::kSecret, {"default", "m-admin"}));
  EXPECT_EQ(world.cluster.list(kube::kConfigMap, {}).items.size(), 1U);
  ASSERT_EQ(world.pods().size(), 2U);
  for (const kube::Object& pod : world.pods()) EXPECT_EQ(pod.controller_owner()->uid, world.deployment().uid());
}

TEST(Reconciler, BecomesReadyWhenAgentsServe) {
  World world;
  world.apply({{"replicas", 2}});
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.condition("Ready"), "True");
  EXPECT_EQ(world.routable(), 2);
  EXPECT_EQ(world.deployment().int_at("/status/routableReplicas"), 2);
  EXPECT_EQ(world.deployment().at("/status/zones"), Json({"a", "b"}));
}

TEST(Reconciler, WritesNothingTheSecondTime) {
  World world;
  world.apply({{"replicas", 2}});
  ASSERT_TRUE(world.settle());
  const int writes = world.client.writes;
  world.now += std::chrono::hours(1);
  world.reconcile();
  EXPECT_EQ(world.client.writes, writes);
}

TEST(Reconciler, ReadsRevisionsAndPodsOnceToMakeANewDeployment) {
  World world;
  world.apply({{"replicas", 2}});
  world.reconcile();
  ASSERT_EQ(world.pods().size(), 2u);
  EXPECT_EQ(world.client.lists, 2);
  EXPECT_EQ(world.client.gets, 0);
  EXPECT_EQ(world.cluster.list(kControllerRevision, {}).items.size(), 1u);
}

TEST(Reconciler, SaysWhichSecretSomebodyHasToMake) {
  World world;
  const auto ready = [&] {
    const kube::Object object = world.deployment();
    for (const Json& condition : object.at("/status/conditions")) {
      if (condition["type"] == "Ready")
        return condition["reason"].get<std::string>() + ": " + condition["message"].get<std::string>();
    }
    return std::string();
  };
  world.apply(
      {{"replicas", 1}, {"endpoint", {{"auth", {{"apiKeySecretRef", {{"name", "keys"}, {"key", "api-key"}}}}}}}});
  const Result result = world.reconcile();
  EXPECT_THAT(ready(), HasSubstr("SecretMissing: Secret keys"));
  EXPECT_THAT(ready(), HasSubstr("kubectl create secret generic keys -n default --from-literal=api-key="));
  EXPECT_EQ(world.condition("Stalled"), "True");
  EXPECT_GT(result.again_after.count(), 0) << "Secrets are not watched";
  kube::Object secret(kube::kSecret, {"default", "keys"});
  secret.json()["data"]["other"] = "eA==";
  world.cluster.create(kube::kSecret, secret);
  world.reconcile();
  EXPECT_THAT(ready(), HasSubstr("has no key \"api-key\" (it has: other)"));
  world.cluster.patch(kube::kSecret, secret.key(), {{"data", {{"api-key", "eA=="}}}});
  world.reconcile();
  EXPECT_THAT(ready(), Not(HasSubstr("Secret")));
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.condition("Ready"), "True");
}

TEST(Reconciler, LeavesForeignFieldsAlone) {
  World world;
  world.apply({{"replicas", 1}});
  world.reconcile();
  world.cluster.patch(kube::kService, {"default", "m"},
                      {{"metadata", {{"annotations", {{"example.com/note", "mine"}}}}}, {"spec", {{"x", 1}}}});
  world.apply({{"replicas", 1}, {"endpoint", {{"port", 9000}}}});
  world.reconcile();
  const kube::Object service = *world.cluster.get(kube::kService, {"default", "m"});
  EXPECT_EQ(service.annotation("example.com/note"), "mine");
  EXPECT_EQ(service.int_at("/spec/x"), 1);
  EXPECT_EQ(service.int_at("/spec/ports/0/port"), 9000);
}

TEST(Reconciler, PutsBackWhatSomebodyElseChangedInAChild) {
  World world;
  world.apply({{"replicas", 1}});
  world.reconcile();
  world.cluster.patch(kube::kService, {"default", "m"}, {{"spec", {{"type", "NodePort"}}}});
  world.reconcile();
  EXPECT_EQ(world.cluster.get(kube::kService, {"default", "m"})->string_at("/spec/type"), "ClusterIP");
}

TEST(Reconciler, NeverOverwritesTheAdminToken) {
  World world;
  world.apply({{"replicas", 1}});
  world.reconcile();
  const Json before = world.cluster.get(kube::kSecret, {"default", "m-admin"})->at("/data");
  world.apply({{"replicas", 2}});
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.cluster.get(kube::kSecret, {"default", "m-admin"})->at("/data"), before);
}

TEST(Reconciler, ScalesUpAndDown) {
  World world;
  world.apply({{"replicas", 1}});
  ASSERT_TRUE(world.settle());
  world.cluster.patch(kube::kModelDeployment, world.key, {{"spec", {{"replicas", 3}}}}, {"scale"});
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.routable(), 3);
  world.cluster.patch(kube::kModelDeployment, world.key, {{"spec", {{"replicas", 0}}}}, {"scale"});
  ASSERT_TRUE(world.settle());
  EXPECT_TRUE(world.pods().empty());
  EXPECT_EQ(world.condition("Ready"), "True");
}

TEST(Reconciler, DrainsByCountBeforeItDeletes) {
  World world;
  world.apply({{"replicas", 1}});
  ASSERT_TRUE(world.settle());
  const std::string uid = world.pods()[0].uid();
  world.apply({{"replicas", 0}});
  for (int i = 0; i < 100; ++i) {
    world.reconcile();
    world.now += std::chrono::seconds(1);
    if (!world.probe.is_draining(world.pods()[0].label(kGroupLabel).value())) continue;
    world.probe.known[uid].status.phase = AgentPhase::kDraining;
    world.probe.known[uid].status.in_flight = 1;
  }
  ASSERT_EQ(world.pods().size(), 1U) << "a request is still running";
  EXPECT_EQ(world.routable(), 0);
  world.probe.known[uid].status.in_flight = 0;
  world.reconcile();
  EXPECT_TRUE(world.pods()[0].is_deleted());
}

TEST(Reconciler, ReplacesGroupByGroupAndNeverServesWithFewer) {
  World world;
  world.apply({{"replicas", 2}});
  ASSERT_TRUE(world.settle());
  world.apply({{"replicas", 2}, {"model", {{"revision", "2"}}}});
  bool done = false;
  for (int i = 0; i < 60 && !done; ++i) {
    const std::uint64_t before = world.cluster.version();
    const Result result = world.reconcile();
    EXPECT_GE(world.routable(), 2);
    EXPECT_LE(world.pods().size(), 3U);
    world.run_pods();
    world.run_agents();
    world.now += std::chrono::seconds(1);
    done = world.cluster.version() == before && result.again_after.count() == 0;
  }
  EXPECT_TRUE(done);
  for (const kube::Object& pod : world.pods()) {
    EXPECT_EQ(pod.label(kRevisionLabel), world.deployment().string_at("/status/updateRevision"));
  }
  EXPECT_EQ(world.cluster.list(kube::kConfigMap, {}).items.size(), 1U) << "the old revision's configuration stays";
}

TEST(Reconciler, UnroutesAGroupWhoseAgentFails) {
  World world;
  world.apply({{"replicas", 1}});
  ASSERT_TRUE(world.settle());
  world.probe.known[world.pods()[0].uid()].status.phase = AgentPhase::kFailed;
  world.probe.known[world.pods()[0].uid()].status.message = "follower 1 is gone";
  world.reconcile();
  EXPECT_EQ(world.routable(), 0);
  world.reconcile();
  EXPECT_EQ(world.condition("Ready"), "False");
  EXPECT_THAT(world.deployment().at("/status/conditions").dump(), HasSubstr("follower 1 is gone"));
}

TEST(Reconciler, SaysThatAgentsNeverBecomeReady) {
  World world;
  world.apply({{"replicas", 1}});
  for (int i = 0; i < 5; ++i) {
    world.reconcile();
    world.run_pods();
    world.now += std::chrono::seconds(30);
  }
  EXPECT_EQ(world.condition("Available"), "False");
  EXPECT_EQ(world.condition("Progressing"), "True");
  EXPECT_EQ(world.pods().size(), 1U);
}

TEST(Reconciler, RefusesABadSpecInStatusAndKeepsWhatRuns) {
  World world;
  world.apply({{"replicas", 1}});
  ASSERT_TRUE(world.settle());
  world.apply({{"replicas", 1}, {"parallelism", {{"tensor", 3}}}});
  world.reconcile();
  EXPECT_EQ(world.condition("Accepted"), "False");
  EXPECT_EQ(world.routable(), 1);
}

TEST(Reconciler, LeavesDeletionToGarbageCollection) {
  World world;
  world.apply({{"replicas", 2}});
  ASSERT_TRUE(world.settle());
  world.cluster.remove(kube::kModelDeployment, world.key);
  world.reconcile();
  world.run_pods();
  EXPECT_TRUE(world.pods().empty());
  EXPECT_FALSE(world.cluster.get(kube::kService, {"default", "m"}));
  EXPECT_TRUE(world.probe.watched[world.key].empty());
}

TEST(Reconciler, DoesNotTakeOverAServiceOfSomebodyElse) {
  World world;
  kube::Object service(kube::kService, {"default", "m"});
  service.json()["spec"] = {{"type", "ClusterIP"}};
  world.cluster.create(kube::kService, service);
  world.apply({{"replicas", 1}});
  EXPECT_THROW(world.reconcile(), common::Error);
  EXPECT_THAT(world.deployment().at("/status/conditions").dump(), HasSubstr("does not belong to this ModelDeployment"));
}

TEST(Reconciler, GivesTheProberAddressesShapeAndToken) {
  World world;
  world.apply({{"replicas", 1}, {"parallelism", {{"tensor", 4}, {"expert", 2}}}, {"devices", {{"perPod", 2}}}});
  ASSERT_TRUE(world.settle());
  const auto& groups = world.probe.watched[world.key];
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].shape.tensor_parallel, 4);
  EXPECT_EQ(groups[0].shape.expert_parallel, 2);
  EXPECT_EQ(groups[0].pods.size(), 2U);
  EXPECT_EQ(groups[0].token.size(), 64U);
}

// One life of a deployment with an edit in the middle, and a crash at write `at`. Returns the writes it took.
int live_with_crash(int at, bool after) {
  World world;
  world.apply({{"replicas", 1}, {"parallelism", {{"tensor", 2}}}});
  world.client.break_at = at;
  world.client.after = after;
  for (int round = 0; round < 24; ++round) {
    try {
      world.reconcile();
    } catch (const common::Error&) {
      world.restart_operator();
    }
    if (round == 8) world.apply({{"replicas", 1}, {"parallelism", {{"tensor", 2}}}, {"image", "agent:2"}});
    world.run_pods();
    world.run_agents();
    world.now += std::chrono::seconds(2);
  }
  EXPECT_EQ(world.condition("Ready"), "True") << "crash at write " << at;
  EXPECT_EQ(world.pods().size(), 2U) << "crash at write " << at;
  EXPECT_EQ(world.cluster.list(kube::kSecret, {}).items.size(), 1U) << "crash at write " << at;
  return world.client.writes;
}

TEST(Reconciler, ConvergesWithoutDuplicatesAfterACrashBeforeAnyWrite) {
  const int writes = live_with_crash(-1, false);
  for (int at = 0; at < writes; ++at) live_with_crash(at, false);
}

TEST(Reconciler, ConvergesWithoutDuplicatesAfterACrashBehindAnyWrite) {
  const int writes = live_with_crash(-1, true);
  for (int at = 0; at < writes; ++at) live_with_crash(at, true);
}

}  // namespace
}  // namespace millrace::controller
