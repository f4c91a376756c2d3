// The life of a ModelDeployment with the operator's program, a real API server, and nodes and agents that are played:
// settling, replacement, scaling, a crash of the operator, deletion.
#include <gmock/gmock.h>

#include "tests/cluster/availability.h"
#include "tests/cluster/life_fixture.h"

namespace millrace::testing {
namespace {

namespace kube = controller::kube;
using kube::Json;
using kube::Object;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(Life, OfASettledDeploymentCostsNoWrite) {
  apply("still", {{"replicas", 2}, {"parallelism", {{"tensor", 2}}}});
  ASSERT_TRUE(eventually([] { return is_ready("still"); })) << get("still").at("/status").dump(1);
  ASSERT_TRUE(looked_again("still", 1) && probed(1));
  const std::size_t mark = std::filesystem::file_size(cluster().audit_log());
  ASSERT_TRUE(looked_again("still", 5));
  ASSERT_TRUE(probed(3));
  EXPECT_THAT(writes_since(mark), IsEmpty());
  EXPECT_EQ(pods("still").size(), 4U);
}

TEST_F(Life, GoesOnWithoutALossWhenTheSpecChanges) {
  apply("roll", {{"replicas", 3}});
  ASSERT_TRUE(eventually([] { return is_ready("roll"); })) << get("roll").at("/status").dump(1);
  Availability availability(*client_, "roll");
  ASSERT_TRUE(eventually([&] { return availability.extremes().routed == 3; }));
  availability.reset();
  const auto old = nodes_->agents();
  const std::int64_t cut = nodes_->cut_requests();
  const std::string before = *revisions("roll").begin();

  apply("roll", {{"replicas", 3}, {"model", {{"revision", "2"}}}});
  ASSERT_TRUE(eventually([&] {
    return is_ready("roll") && revisions("roll").size() == 1 && *revisions("roll").begin() != before;
  })) << get("roll").at("/status").dump(1);
  EXPECT_GE(availability.extremes().fewest_routed, 3);
  EXPECT_LE(availability.extremes().most_groups, 4);
  EXPECT_EQ(nodes_->cut_requests(), cut);
  for (const auto& [pod, agent] : old) EXPECT_GE(agent->drained(), 1) << pod;
}

TEST_F(Life, LetsRequestsFinishWhenItIsScaledDown) {
  apply("shrink", {{"replicas", 3}});
  ASSERT_TRUE(eventually([] { return is_ready("shrink"); }));
  const std::int64_t cut = nodes_->cut_requests();
  const auto agents = nodes_->agents();
  for (const auto& [pod, agent] : agents) agent->hold(true);
  client_->patch(kube::kModelDeployment, key("shrink"), {{"spec", {{"replicas", 1}}}}, {.subresource = "scale"});
  const auto draining = [&] {
    return std::count_if(agents.begin(), agents.end(), [](const auto& item) { return item.second->drained() > 0; });
  };
  ASSERT_TRUE(eventually([&] { return draining() == 2; }));
  ASSERT_TRUE(probed(2));
  EXPECT_EQ(pods("shrink").size(), 3U) << "requests are running";
  for (const Object& pod : pods("shrink")) EXPECT_FALSE(pod.is_deleted()) << pod.name();
  for (const auto& [pod, agent] : agents) agent->hold(false);
  ASSERT_TRUE(eventually([] { return pods("shrink").size() == 1 && is_ready("shrink"); }));
  EXPECT_EQ(nodes_->cut_requests(), cut);
}

TEST_F(Life, LeavesToOthersWhatTheyWrote) {
  apply("shared", {{"replicas", 1}});
  ASSERT_TRUE(eventually([] { return is_ready("shared"); }));
  const Json note = {{"metadata", {{"annotations", {{"example.com/note", "mine"}}}}}};
  for (const auto& kind : {kube::kService, kube::kPodDisruptionBudget}) client_->patch(kind, key("shared"), note);
  client_->patch(kube::kService, key("shared"), {{"spec", {{"sessionAffinity", "ClientIP"}}}});
  const std::string pod = pods("shared")[0].name();
  client_->patch(kube::kPod, key(pod), {{"metadata", {{"labels", {{"example.com/team", "blue"}}}}}});
  apply("shared", {{"replicas", 2}, {"endpoint", {{"serviceType", "NodePort"}}}});
  ASSERT_TRUE(eventually([] { return is_ready("shared") && pods("shared").size() == 2; }));
  const Object service = *client_->get(kube::kService, key("shared"));
  EXPECT_EQ(service.string_at("/spec/type"), "NodePort");
  EXPECT_EQ(service.string_at("/spec/sessionAffinity"), "ClientIP");
  EXPECT_EQ(service.annotation("example.com/note"), "mine");
  EXPECT_EQ(client_->get(kube::kPodDisruptionBudget, key("shared"))->annotation("example.com/note"), "mine");
  EXPECT_EQ(client_->get(kube::kPod, key(pod))->label("example.com/team"), "blue");
}

TEST_F(Life, GoesOnWhenTheOperatorIsKilledInMidRollout) {
  apply("crash", {{"replicas", 2}, {"parallelism", {{"tensor", 2}}}});
  ASSERT_TRUE(eventually([] { return is_ready("crash"); }));
  Availability availability(*client_, "crash");
  ASSERT_TRUE(eventually([&] { return availability.extremes().routed == 2; }));
  availability.reset();
  const std::int64_t cut = nodes_->cut_requests();
  apply("crash", {{"replicas", 2}, {"parallelism", {{"tensor", 2}}}, {"model", {{"revision", "2"}}}});
  const auto retiring = [] {
    for (const Object& pod : pods("crash")) {
      if (pod.annotation(controller::kRetiringAnnotation)) return true;
    }
    return false;
  };
  ASSERT_TRUE(eventually(retiring));
  operator_->kill();
  EXPECT_EQ(revisions("crash").size(), 2U);
  operator_->start();
  ASSERT_TRUE(eventually([] { return is_ready("crash") && revisions("crash").size() == 1; }))
      << get("crash").at("/status").dump(1);
  EXPECT_EQ(pods("crash").size(), 4U);
  EXPECT_GE(availability.extremes().fewest_routed, 2);
  EXPECT_LE(availability.extremes().most_groups, 3);
  EXPECT_EQ(nodes_->cut_requests(), cut);
}

TEST_F(Life, WaitsForTheSecretThatSomebodyHasToMakeAndSaysSo) {
  apply("keyed",
        {{"replicas", 1}, {"endpoint", {{"auth", {{"apiKeySecretRef", {{"name", "keys"}, {"key", "api-key"}}}}}}}});
  ASSERT_TRUE(eventually([] { return condition("keyed", "Ready").value("reason", "") == "SecretMissing"; }));
  EXPECT_THAT(condition("keyed", "Ready").value("message", ""),
              HasSubstr("kubectl create secret generic keys -n default --from-literal=api-key="));
  EXPECT_EQ(condition("keyed", "Stalled").value("status", ""), "True");
  Object secret(kube::kSecret, key("keys"));
  secret.json()["stringData"]["api-key"] = "secret";
  client_->create(kube::kSecret, secret);
  EXPECT_TRUE(eventually([] { return is_ready("keyed"); })) << get("keyed").at("/status").dump(1);
  client_->remove(kube::kSecret, key("keys"));
}

TEST_F(Life, LeavesNothingBehindWhenItEnds) {
  if (!controllers_) GTEST_SKIP() << "needs kube-controller-manager, which scripts/cluster-tools.sh --nodes builds";
  apply("gone", {{"replicas", 2}});
  ASSERT_TRUE(eventually([] { return is_ready("gone"); }));
  client_->remove(kube::kModelDeployment, key("gone"));
  const auto rest = [] {
    std::vector<std::string> names;
    for (const auto& kind : {kube::kPod, kube::kService, kube::kConfigMap, kube::kSecret, kube::kPodDisruptionBudget}) {
      for (const Object& object : client_->list(kind, {.ns = "default"}).items) {
        if (object.name().starts_with("gone")) names.push_back(object.kind() + "/" + object.name());
      }
    }
    return names;
  };
  EXPECT_TRUE(eventually([&] { return rest().empty(); })) << ::testing::PrintToString(rest());
  EXPECT_THAT(nodes_->agents(), IsEmpty());
}

}  // namespace
}  // namespace millrace::testing
