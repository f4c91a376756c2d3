// Reads and writes against a real kube-apiserver.
#include <filesystem>
#include <fstream>

#include "tests/paths.h"

#include "tests/operator/kube/cluster_fixture.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using ::testing::HasSubstr;

class ClientCluster : public ClusterTest {};

TEST_F(ClientCluster, CreatesReadsPatchesAndRemoves) {
  EXPECT_EQ(client().get(kConfigMap, {"default", "a"}), std::nullopt);
  const Object created = client().create(kConfigMap, config_map("a", {{"k", "v"}}));
  EXPECT_FALSE(created.uid().empty());
  EXPECT_EQ(error_of([&] { client().create(kConfigMap, config_map("a")); })->code(), Code::kAlreadyExists);
  const Object patched = client().patch(kConfigMap, created.key(), {{"data", {{"k", nullptr}, {"l", "w"}}}});
  EXPECT_EQ(patched.at("/data"), Json({{"l", "w"}}));
  EXPECT_TRUE(client().remove(kConfigMap, created.key()));
  EXPECT_FALSE(client().remove(kConfigMap, created.key()));
  EXPECT_EQ(error_of([&] { client().patch(kConfigMap, created.key(), Json::object()); })->code(), Code::kNotFound);
}

TEST_F(ClientCluster, RefusesAWriteThatStartsFromAnOldVersion) {
  const Object first = client().create(kConfigMap, config_map("versioned", {{"n", "1"}}));
  client().patch(kConfigMap, first.key(), {{"data", {{"n", "2"}}}});
  const Json stale = {{"metadata", {{"resourceVersion", first.resource_version()}}}, {"data", {{"n", "3"}}}};
  EXPECT_EQ(error_of([&] { client().patch(kConfigMap, first.key(), stale); })->code(), Code::kConflict);
}

TEST_F(ClientCluster, RemovesOnlyTheIncarnationItMeans) {
  const Object object = client().create(kConfigMap, config_map("precise"));
  const auto error = error_of([&] { client().remove(kConfigMap, object.key(), {.uid = "another"}); });
  EXPECT_EQ(error->code(), Code::kConflict);
  const auto stale = error_of([&] { client().remove(kConfigMap, object.key(), {.resource_version = "1"}); });
  EXPECT_EQ(stale->code(), Code::kConflict);
  EXPECT_TRUE(
      client().remove(kConfigMap, object.key(), {.uid = object.uid(), .resource_version = object.resource_version()}));
}

TEST_F(ClientCluster, ListsPageByPageAndBySelector) {
  for (int i = 0; i < 7; ++i) {
    Object object = config_map("page-" + std::to_string(i));
    object.json()["metadata"]["labels"] = {{"set", "paging"}, {"odd", i % 2 == 1 ? "yes" : "no"}};
    client().create(kConfigMap, object);
  }
  const ListResult all = client().list(kConfigMap, {.ns = "default", .label_selector = "set=paging", .page_size = 2});
  EXPECT_EQ(all.items.size(), 7U);
  EXPECT_FALSE(all.resource_version.empty());
  EXPECT_EQ(all.items[0].kind(), "ConfigMap");
  EXPECT_EQ(client().list(kConfigMap, {.label_selector = "set in (paging),odd!=no"}).items.size(), 3U);
  EXPECT_EQ(client().list(kConfigMap, {.ns = "default", .field_selector = "metadata.name=page-3"}).items.size(), 1U);
}

TEST_F(ClientCluster, AppliesItsOwnFieldsAndLeavesForeignOnes) {
  const Object applied = client().apply(kConfigMap, config_map("shared", {{"ours", "1"}}));
  client().apply(kConfigMap, config_map("shared", {{"theirs", "1"}}), {.field_manager = "someone"});
  const Object again = client().apply(kConfigMap, config_map("shared", {{"ours", "2"}}));
  EXPECT_EQ(again.at("/data"), Json({{"ours", "2"}, {"theirs", "1"}}));
  EXPECT_EQ(again.uid(), applied.uid());
  const Object dropped = client().apply(kConfigMap, config_map("shared"));
  EXPECT_EQ(dropped.at("/data"), Json({{"theirs", "1"}}));
}

TEST_F(ClientCluster, DoesNotWriteWhenAnApplyChangesNothing) {
  const Object first = client().apply(kConfigMap, config_map("same", {{"k", "v"}}));
  EXPECT_EQ(client().apply(kConfigMap, config_map("same", {{"k", "v"}})).resource_version(), first.resource_version());
}

TEST_F(ClientCluster, ReportsAFieldOfAnotherManagerUnlessForced) {
  client().apply(kConfigMap, config_map("contested", {{"k", "theirs"}}), {.field_manager = "someone"});
  const auto error = error_of([&] {
    client().apply(kConfigMap, config_map("contested", {{"k", "ours"}}), {.force = false});
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::kConflict);
  EXPECT_THAT(error->what(), HasSubstr("someone"));
  EXPECT_EQ(client().apply(kConfigMap, config_map("contested", {{"k", "ours"}})).at("/data/k"), "ours");
}

TEST_F(ClientCluster, WritesStatusAndScaleOfAModelDeployment) {
  cluster().install_crd();
  const auto tiny = std::filesystem::path(MILLRACE_SOURCE_DIR) / "examples" / "tiny-moe.yaml";
  const testing::CommandResult applied = cluster().kubectl({"apply", "-f", tiny.string()});
  ASSERT_TRUE(applied.ok()) << applied.err;
  const ListResult list = client().list(kModelDeployment, {});
  ASSERT_EQ(list.items.size(), 1U);
  const Object& deployment = list.items[0];

  Object status(kModelDeployment, deployment.key());
  status.json()["status"] = {{"observedGeneration", deployment.generation()}, {"replicas", 1}};
  const Object with_status = client().apply(kModelDeployment, status, {.subresource = "status"});
  EXPECT_EQ(with_status.int_at("/status/replicas"), 1);
  EXPECT_EQ(with_status.generation(), deployment.generation());

  const Object scale =
      client().patch(kModelDeployment, deployment.key(), {{"spec", {{"replicas", 3}}}}, {.subresource = "scale"});
  EXPECT_EQ(scale.kind(), "Scale");
  EXPECT_EQ(scale.int_at("/spec/replicas"), 3);
  const auto scaled = client().get(kModelDeployment, deployment.key());
  EXPECT_EQ(scaled->int_at("/spec/replicas"), 3);
  EXPECT_EQ(scaled->int_at("/status/replicas"), 1);
}

TEST_F(ClientCluster, SaysWhatTheSchemaRefuses) {
  cluster().install_crd();
  Object broken(kModelDeployment, {"default", "broken"});
  broken.json()["spec"] = {{"replicas", -1}};
  const auto error = error_of([&] { client().create(kModelDeployment, broken); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::kInvalidArgument);
  EXPECT_THAT(error->what(), HasSubstr("spec.replicas"));
}

TEST_F(ClientCluster, TellsAKindThatIsNotInstalledFromAMissingObject) {
  const ResourceKind absent{"absent.millrace.dev", "v1", "things", "Thing", true};
  EXPECT_EQ(error_of([&] { client().get(absent, {"default", "x"}); })->code(), Code::kNotFound);
  EXPECT_EQ(error_of([&] { client().list(absent, {}); })->code(), Code::kNotFound);
}

TEST_F(ClientCluster, EvictsThroughTheDisruptionBudget) {
  Object guarded = pod("guarded");
  guarded.json()["metadata"]["labels"] = {{"app", "guarded"}};
  client().create(kServiceAccount, Object(kServiceAccount, {"default", "default"}));
  client().create(kPod, guarded);
  EXPECT_EQ(client().evict({"default", "absent"}, std::nullopt), Eviction::kNotFound);
  Object budget(kPodDisruptionBudget, {"default", "guarded"});
  budget.json()["spec"] = {{"minAvailable", 1}, {"selector", {{"matchLabels", {{"app", "guarded"}}}}}};
  client().create(kPodDisruptionBudget, budget);
  // A pod that never ran may go whatever the budget says; one that runs may not.
  client().patch(kPod, {"default", "guarded"},
                 {{"status", {{"phase", "Running"}, {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}}},
                 {.subresource = "status"});
  EXPECT_EQ(client().evict({"default", "guarded"}, 0), Eviction::kBlocked);
  EXPECT_TRUE(client().remove(kPodDisruptionBudget, {"default", "guarded"}));
  EXPECT_EQ(client().evict({"default", "guarded"}, 0), Eviction::kEvicted);
}

class AuthCluster : public ClusterTest {
 protected:
  static void SetUpTestSuite() {
    ClusterTest::SetUpTestSuite();
    if (!testing::ControlPlane::unavailable().empty()) return;
    cluster().create_namespace("robots");
    cluster().kubectl({"create", "serviceaccount", "robot", "-n", "robots"});
  }

  // Without a role every request is refused, in the name that the server knows us by.
  static std::string known_as(const ClusterConfig& config) {
    const auto error = error_of([&] { connect(config, {})->list(kPod, {.ns = "robots"}); });
    return error ? error->what() : "not refused";
  }

  static ClusterConfig nobody() {
    ClusterConfig config = admin();
    config.client_certificate_pem.clear();
    config.client_key_pem.clear();
    return config;
  }

  static constexpr const char* kRobot = "403 pods is forbidden: User \"system:serviceaccount:robots:robot\"";
};

TEST_F(AuthCluster, IsAnonymousWithoutCredentials) {
  EXPECT_THAT(known_as(nobody()), HasSubstr("User \"system:anonymous\""));
}

TEST_F(AuthCluster, KnowsACertificate) {
  EXPECT_THAT(known_as(load_kubeconfig(cluster().user_kubeconfig("jane"))), HasSubstr("User \"jane\""));
}

TEST_F(AuthCluster, KnowsATokenOfAKubeconfig) {
  EXPECT_THAT(known_as(load_kubeconfig(cluster().service_account_kubeconfig("robots", "robot"))), HasSubstr(kRobot));
}

TEST_F(AuthCluster, KnowsATokenFile) {
  ClusterConfig config = nobody();
  config.token_file = cluster().dir() / "robot-token";
  std::ofstream(config.token_file) << cluster().token("robots", "robot") << "\n";
  EXPECT_THAT(known_as(config), HasSubstr(kRobot));
}

TEST_F(AuthCluster, KnowsATokenOfACredentialPlugin) {
  ClusterConfig config = nobody();
  config.exec = ExecPlugin{"client.authentication.k8s.io/v1",
                           "sh",
                           {"-c",
                            "printf '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
                            "\"status\":{\"token\":\"%s\"}}' \"$TOKEN\""},
                           {{"TOKEN", cluster().token("robots", "robot")}},
                           "",
                           false};
  EXPECT_THAT(known_as(config), HasSubstr(kRobot));
}

TEST_F(AuthCluster, ReportsAWrongTokenAsUnauthenticated) {
  ClusterConfig config = nobody();
  config.token = "wrong";
  EXPECT_EQ(error_of([&] { connect(config, {})->list(kPod, {}); })->code(), Code::kUnauthenticated);
}

TEST_F(AuthCluster, TrustsOnlyTheClustersOwnAuthority) {
  ClusterConfig config = admin();
  config.ca_pem = config.client_certificate_pem;  // a certificate, but not the authority's
  const auto error = error_of([&] { connect(config, {.attempts = 1})->list(kPod, {}); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::kUnavailable);
  EXPECT_THAT(error->what(), HasSubstr("certificate"));
  config.ca_pem.clear();  // the system's authorities do not know this cluster
  EXPECT_EQ(error_of([&] { connect(config, {.attempts = 1})->list(kPod, {}); })->code(), Code::kUnavailable);
  config.insecure_skip_tls_verify = true;
  EXPECT_FALSE(error_of([&] { connect(config, {})->list(kPod, {}); }));
}

TEST_F(AuthCluster, ChecksTheServersName) {
  ClusterConfig config = admin();
  config.tls_server_name = "kubernetes.default.svc";
  EXPECT_FALSE(error_of([&] { connect(config, {})->list(kPod, {}); }));
  config.tls_server_name = "elsewhere.example";
  EXPECT_EQ(error_of([&] { connect(config, {.attempts = 1})->list(kPod, {}); })->code(), Code::kUnavailable);
}

}  // namespace
}  // namespace millrace::controller::kube
