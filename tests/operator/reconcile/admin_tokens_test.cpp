// The admin token's rotation, step by step in a cluster of memory.
#include "operator/reconcile/admin_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/reconcile/world.h"

namespace millrace::controller {
namespace {

using testing::World;

const kube::ObjectKey kSecretKey{"default", "m-admin"};

struct Rotating : World {
  Rotating() {
    apply({{"replicas", 2}});
    EXPECT_TRUE(settle());
    for (const kube::Object& pod : pods()) first_pods.insert(pod.uid());
  }

  void ask(const std::string& value) {
    cluster.patch(kube::kModelDeployment, key, {{"metadata", {{"annotations", {{kRotateAnnotation, value}}}}}});
  }
  AdminToken stored() { return token_of(*cluster.get(kube::kSecret, kSecretKey), now).value_or(AdminToken{}); }
  const ProbeGroup& group() { return probe.watched[key].at(0); }
  bool same_pods() {
    std::set<std::string> uids;
    for (const kube::Object& pod : pods()) uids.insert(pod.uid());
    return uids == first_pods;
  }

  std::set<std::string> first_pods;
};

TEST(AdminTokens, AreRotatedOnRequestWithoutTouchingAPod) {
  Rotating world;
  const std::string before = world.stored().token;
  world.ask("1");
  const Result result = world.reconcile();
  const AdminToken after = world.stored();
  EXPECT_NE(after.token, before);
  EXPECT_EQ(after.previous, before);
  EXPECT_EQ(world.group().token, after.token);
  EXPECT_EQ(world.group().previous_token, before);
  EXPECT_EQ(result.again_after, kTokenOverlap);
  EXPECT_TRUE(world.same_pods());
  EXPECT_EQ(world.routable(), 2);
}

TEST(AdminTokens, TheOneBeforeIsForgottenAfterAWhileWithoutAnotherWrite) {
  Rotating world;
  world.ask("1");
  world.reconcile();
  const int writes = world.client.writes;
  world.now += kTokenOverlap;
  world.run_agents();
  world.reconcile();
  EXPECT_EQ(world.group().previous_token, "");
  EXPECT_EQ(world.group().token, world.stored().token);
  EXPECT_EQ(world.client.writes, writes);
}

TEST(AdminTokens, OneRequestIsAnsweredOnceAlsoByAnotherOperator) {
  Rotating world;
  world.ask("1");
  world.reconcile();
  const AdminToken after = world.stored();
  world.reconcile();
  EXPECT_EQ(world.stored(), after);
  AdminTokens other(world.client, nullptr, [&] { return world.now; });
  const kube::Object object = world.deployment();
  EXPECT_EQ(other.get(object, parent_of(object, {}, "r"), false).token, after);
  EXPECT_EQ(world.stored(), after);
}

// Its operator was stopped after the first write, so that the deployment says nothing yet.
TEST(AdminTokens, OfANewDeploymentAreTakenFromASecretThatExists) {
  Rotating world;
  kube::Object object = world.deployment();
  object.json().erase("status");
  AdminTokens other(world.client, nullptr, [&] { return world.now; });
  EXPECT_EQ(other.get(object, parent_of(object, {}, "r"), false).token, world.stored());
}

TEST(AdminTokens, AreReadByAStandbyThatMakesNone) {
  Rotating world;
  EXPECT_EQ(world.reconciler.agents_of(world.key).at(0).token, world.stored().token);
  world.ask("1");
  world.reconcile();
  const int writes = world.client.writes;
  const std::vector<ProbeGroup> groups = world.reconciler.agents_of(world.key);
  EXPECT_EQ(groups.at(0).token, world.stored().token);
  EXPECT_EQ(groups.at(0).previous_token, world.stored().previous);
  EXPECT_EQ(groups.at(0).pods, world.group().pods);
  world.cluster.remove(kube::kSecret, kSecretKey);
  EXPECT_TRUE(world.reconciler.agents_of(world.key).empty());
  EXPECT_EQ(world.client.writes, writes);
}

TEST(AdminTokens, ASecondRequestWaitsUntilAgentsKnowTheFirstToken) {
  Rotating world;
  world.ask("1");
  world.reconcile();
  const AdminToken first = world.stored();
  world.ask("2");
  const Result result = world.reconcile();
  EXPECT_EQ(world.stored(), first);
  EXPECT_GT(result.again_after.count(), 0);
  world.now += kTokenOverlap;
  world.reconcile();
  EXPECT_EQ(world.stored().previous, first.token);
}

TEST(AdminTokens, ADeletedSecretIsMadeAnewAndTheTokenBeforeStaysAccepted) {
  Rotating world;
  const std::string before = world.stored().token;
  world.cluster.remove(kube::kSecret, kSecretKey);
  world.ask("1");
  world.reconcile();
  EXPECT_NE(world.stored().token, before);
  EXPECT_EQ(world.stored().previous, before);
  EXPECT_TRUE(world.same_pods());
}

TEST(AdminTokens, ATokenTakenOutOfTheSecretIsMadeAnew) {
  Rotating world;
  const std::string before = world.stored().token;
  world.cluster.patch(kube::kSecret, kSecretKey, {{"data", {{kTokenKey, nullptr}}}});
  world.ask("1");
  world.reconcile();
  EXPECT_NE(world.stored().token, before);
  EXPECT_EQ(world.stored().previous, before);
}

TEST(AdminTokens, ADeploymentBornWithARequestHasAnsweredIt) {
  World world;
  world.apply({{"replicas", 1}});
  world.cluster.patch(kube::kModelDeployment, world.key, {{"metadata", {{"annotations", {{kRotateAnnotation, "1"}}}}}});
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(token_of(*world.cluster.get(kube::kSecret, kSecretKey), world.now)->previous, "");
}

TEST(AdminTokens, ASecretOfSomebodyElseIsNotTouched) {
  Rotating world;
  world.cluster.patch(kube::kSecret, kSecretKey, {{"metadata", {{"ownerReferences", nullptr}}}});
  const AdminToken before = world.stored();
  world.ask("1");
  EXPECT_THROW(world.reconcile(), common::Error);
  EXPECT_EQ(world.stored(), before);
}

TEST(AdminTokens, WhereSecretsMayNotBeChangedTheTokenStaysAndTheRestGoesOn) {
  Rotating world;
  const AdminToken before = world.stored();
  world.client.forbid_secret_patches = true;
  world.ask("1");
  world.apply({{"replicas", 1}});
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(world.stored(), before);
  EXPECT_EQ(world.pods().size(), 1U);
  EXPECT_EQ(world.group().token, before.token);
  world.cluster.remove(kube::kSecret, kSecretKey);
  world.ask("2");
  world.reconcile();
  EXPECT_EQ(world.stored().previous, before.token);
}

}  // namespace
}  // namespace millrace::controller
