// The life of a ModelDeployment with the operator's program, a real API server, and nodes and agents that are played:
// settling, replacement, scaling, a crash of the operator, deletion.
#include <filesystem>
#include <set>

#include <gmock/gmock.h>

#include "operator/api/labels.h"
#include "operator/kube/kubeconfig.h"
#include "tests/cluster/audit.h"
#include "tests/cluster/availability.h"
#include "tests/cluster/operator_process.h"
#include "tests/cluster/played_nodes.h"

namespace millrace::testing {
namespace {

namespace kube = controller::kube;
using kube::Json;
using kube::Object;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Life : public SharedControlPlane {
 protected:
  static void SetUpTestSuite() {
    SharedControlPlane::SetUpTestSuite();
    if (!ControlPlane::unavailable().empty() || find_program("helm").empty()) return;
    controllers_ = cluster().start_controllers();
    client_ = kube::connect(kube::load_kubeconfig(cluster().kubeconfig()), {});
    nodes_ = std::make_unique<PlayedNodes>(*client_);
    operator_ = std::make_unique<OperatorProcess>(cluster());
  }

  static void TearDownTestSuite() {
    operator_.reset();
    nodes_.reset();
    client_.reset();
    SharedControlPlane::TearDownTestSuite();
  }

  void SetUp() override {
    SharedControlPlane::SetUp();
    if (find_program("helm").empty()) GTEST_SKIP() << "helm is absent: run scripts/cluster-tools.sh";
  }

  void TearDown() override {
    if (operator_ == nullptr) return;
    if (HasFailure()) std::cerr << operator_->log();
    for (const Object& deployment : client_->list(kube::kModelDeployment, {}).items) {
      client_->remove(kube::kModelDeployment, deployment.key());
    }
    for (const Object& pod : client_->list(kube::kPod, {.label_selector = controller::kDeploymentLabel}).items) {
      client_->remove(kube::kPod, pod.key());
    }
    EXPECT_TRUE(eventually([] { return client_->list(kube::kPod, {}).items.empty(); }));
  }

  static kube::ObjectKey key(const std::string& name) { return {"default", name}; }

  // As `kubectl apply` of a file would.
  static Object apply(const std::string& name, const Json& spec) {
    Object object(kube::kModelDeployment, key(name));
    object.json()["spec"] = spec;
    object.json()["spec"]["model"]["name"] = "m";
    object.json()["spec"]["model"]["source"] = "file:///models/m";
    return client_->apply(kube::kModelDeployment, object, {.field_manager = "user"});
  }

  static Object get(const std::string& name) { return *client_->get(kube::kModelDeployment, key(name)); }

  static Json condition(const std::string& name, const std::string& type) {
    const Object object = get(name);
    for (const Json& condition : object.at("/status/conditions")) {
      if (condition.value("type", "") == type) return condition;
    }
    return Json::object();
  }

  static bool is_ready(const std::string& name) {
    const Object object = get(name);
    return object.int_at("/status/observedGeneration") == object.generation() &&
           condition(name, "Ready").value("status", "") == "True";
  }

  static std::vector<Object> pods(const std::string& name) {
    return client_->list(kube::kPod, {.label_selector = controller::kDeploymentLabel + ("=" + name)}).items;
  }

  static std::set<std::string> revisions(const std::string& name) {
    std::set<std::string> result;
    for (const Object& pod : pods(name)) result.insert(pod.label(controller::kRevisionLabel).value_or(""));
    return result;
  }

  // Every agent has been asked for its status `rounds` more times.
  static bool probed(std::int64_t rounds) {
    std::map<std::string, std::int64_t> until;
    for (const auto& [pod, agent] : nodes_->agents()) until[pod] = agent->asked() + rounds;
    return eventually([&] {
      const auto agents = nodes_->agents();
      return std::all_of(until.begin(), until.end(), [&](const auto& item) {
        const auto agent = agents.find(item.first);
        return agent == agents.end() || agent->second->asked() >= item.second;
      });
    });
  }

  // The operator has looked at everything again, `rounds` times, because somebody touched the deployment.
  static bool looked_again(const std::string& name, int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const double before = operator_->metric("controller_runtime_reconcile_total");
      const Json touch = {{"metadata", {{"annotations", {{"example.com/touched", std::to_string(++touches_)}}}}}};
      client_->patch(kube::kModelDeployment, key(name), touch);
      if (!eventually([&] { return operator_->metric("controller_runtime_reconcile_total") > before; })) return false;
    }
    return true;
  }

  // What the operator wrote since, but for its lease, which says every two seconds who leads.
  static std::vector<std::string> writes_since(std::size_t mark) {
    std::vector<std::string> writes;
    for (const AuditedWrite& write : audited_writes(cluster().audit_log(), OperatorProcess::kUser, mark)) {
      if (write.resource != "leases") writes.push_back(to_string(write));
    }
    return writes;
  }

  static inline int touches_ = 0;
  static inline bool controllers_ = false;
  static inline std::unique_ptr<kube::Client> client_;
  static inline std::unique_ptr<PlayedNodes> nodes_;
  static inline std::unique_ptr<OperatorProcess> operator_;
};

TEST_F(Life, OfASettledDeploymentCostsNoWrite) {
  apply("still", {{"replicas", 2}, {"parallelism", {{"tensor", 2}}}});
  ASSERT_TRUE(eventually([] { return is_ready("still"); })) << get("still").at("/status").dump(1);
  ASSERT_TRUE(looked_again("still", 1) && probed(3));
  const std::size_t mark = std::filesystem::file_size(cluster().audit_log());
  ASSERT_TRUE(looked_again("still", 5));
  ASSERT_TRUE(probed(8));
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
  ASSERT_TRUE(probed(4));
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
