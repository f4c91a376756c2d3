// helm/millrace as helm, kubeconform and a real API server see it. kubeconform's schemas are made from the very server.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

#include "tests/paths.h"

#include "tests/cluster/control_plane.h"

namespace millrace::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Args = std::vector<std::string>;

const std::filesystem::path kSource = MILLRACE_SOURCE_DIR;
const std::filesystem::path kChart = kSource / "helm/millrace";

Args operator+(Args left, const Args& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

std::string read_file(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The default values and every value file of helm/millrace/ci, as arguments.
std::vector<Args> value_sets() {
  std::vector<Args> sets = {{}};
  for (const auto& entry : std::filesystem::directory_iterator(kChart / "ci")) sets.push_back({"-f", entry.path()});
  return sets;
}

class Chart : public SharedControlPlane {
 protected:
  void SetUp() override {
    SharedControlPlane::SetUp();
    for (const char* name : {"helm", "kubeconform"}) {
      if (find_program(name).empty()) GTEST_SKIP() << name << " is absent: run scripts/cluster-tools.sh";
    }
  }

  static CommandResult helm(const Args& args) {
    const Args program = {"env", "HELM_CACHE_HOME=" + (cluster().dir() / "helm").string(), find_program("helm")};
    return run_command(program + args);
  }

  static CommandResult render(const Args& values) {
    return helm(Args{"template", "release", kChart, "--namespace", "millrace-system"} + values);
  }

  static CommandResult install(const std::string& ns, const Args& values = {}) {
    return cluster().install_chart(ns, values);
  }

  static void uninstall(const std::string& ns) {
    helm({"uninstall", "millrace", "--namespace", ns, "--kubeconfig", cluster().kubeconfig()});
  }

  // Folder of the schemas of every API the chart uses, made on first use.
  static std::filesystem::path schemas() {
    const auto folder = cluster().dir() / "schemas";
    if (std::filesystem::exists(folder)) return folder;
    Args convert = {"python3", kSource / "tests/cluster/openapi_schemas.py", folder};
    for (const char* api : {"api/v1", "apis/apps/v1", "apis/rbac.authorization.k8s.io/v1", "apis/policy/v1",
                            "apis/networking.k8s.io/v1", "apis/apiextensions.k8s.io/v1"}) {
      const auto document = cluster().dir() / ("openapi-" + std::to_string(convert.size()) + ".json");
      std::ofstream(document) << cluster().kubectl({"get", "--raw", std::string("/openapi/v3/") + api}).out;
      convert.push_back(document);
    }
    const CommandResult converted = run_command(convert);
    EXPECT_TRUE(converted.ok()) << converted.err;
    return folder;
  }

  // Monitors are not of Kubernetes, so the API server has no schema of them; tests of their own judge them.
  static CommandResult kubeconform(const std::string& manifests) {
    const std::string location = schemas().string() + "/{{.ResourceKind}}{{.KindSuffix}}.json";
    return run_command({find_program("kubeconform"), "-strict", "-summary", "-skip", "ServiceMonitor,PodMonitor",
                        "-schema-location", location},
                       manifests);
  }

  // Rendered for a namespace that does not exist here.
  static std::string without_namespace(const std::string& manifest) {
    std::istringstream lines(manifest);
    std::string result;
    for (std::string line; std::getline(lines, line);) {
      if (line.find("namespace: ") == std::string::npos) result += line + "\n";
    }
    return result;
  }

  static std::string can_i(const std::string& account, const Args& question) {
    return cluster().kubectl(Args{"auth", "can-i", "--as", "system:serviceaccount:" + account} + question).out;
  }

  static bool eventually(const std::string& account, const Args& question, const std::string& answer) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < deadline) {
      if (can_i(account, question) == answer) return true;
    }
    return false;
  }
};

TEST_F(Chart, LintsWithTheDefaultsAndEveryValueFile) {
  EXPECT_GE(value_sets().size(), 4u);
  for (const Args& values : value_sets()) {
    const CommandResult linted = helm(Args{"lint", "--strict", kChart} + values);
    EXPECT_TRUE(linted.ok()) << linted.out;
  }
}

TEST_F(Chart, RendersObjectsThatMatchTheSchemasOfTheApiServer) {
  for (const Args& values : value_sets()) {
    const CommandResult rendered = render(values);
    ASSERT_TRUE(rendered.ok()) << rendered.err;
    const CommandResult judged = kubeconform(rendered.out);
    EXPECT_TRUE(judged.ok()) << judged.out;
    EXPECT_THAT(judged.out, HasSubstr("Invalid: 0, Errors: 0"));
  }
}

TEST_F(Chart, IsJudgedByStrictSchemas) {
  const CommandResult judged = kubeconform("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {prots: []}}");
  EXPECT_THAT(judged.out, HasSubstr("additional properties 'prots' not allowed"));
}

TEST_F(Chart, CarriesTheCrdOfTheTree) {
  const std::string rendered = render({"--show-only", "templates/crd.yaml"}).out;
  EXPECT_THAT(rendered, HasSubstr(read_file(kSource / "crds/millrace.dev_modeldeployments.yaml")));
}

TEST_F(Chart, RefusesValuesThatItDoesNotKnow) {
  EXPECT_THAT(render({"--set", "operator.replica=3"}).err, HasSubstr("additional properties 'replica' not allowed"));
  EXPECT_THAT(render({"--set", "operator.logLevel=loud"}).err, HasSubstr("/operator/logLevel"));
  EXPECT_THAT(render({"--set", "serviceAccount.create=false"}).err, HasSubstr("serviceAccount.name must name"));
}

TEST_F(Chart, RunsTheOperatorWithoutPrivileges) {
  EXPECT_THAT(
      render({"--show-only", "templates/deployment.yaml"}).out,
      AllOf(HasSubstr("replicas: 2"), HasSubstr("runAsNonRoot: true"), HasSubstr("readOnlyRootFilesystem: true"),
            HasSubstr("drop: [ALL]"), HasSubstr("type: RuntimeDefault"), HasSubstr("allowPrivilegeEscalation: false")));
}

TEST_F(Chart, MonitorsOnlyWhereTheClusterKnowsServiceMonitors) {
  EXPECT_THAT(render({}).out, Not(HasSubstr("kind: ServiceMonitor")));
  EXPECT_THAT(render({"--api-versions", "monitoring.coreos.com/v1/ServiceMonitor"}).out,
              HasSubstr("kind: ServiceMonitor"));
  EXPECT_THAT(render({"--set", "metrics.serviceMonitor.enabled=false", "--api-versions",
                      "monitoring.coreos.com/v1/ServiceMonitor"})
                  .out,
              Not(HasSubstr("kind: ServiceMonitor")));
}

TEST_F(Chart, WritesServiceMonitorsThatTheirKindAcceptsAndThatFindTheService) {
  const std::string crd = "crd/servicemonitors.monitoring.coreos.com";
  ASSERT_TRUE(cluster().kubectl({"apply", "-f", kSource / "tests/cluster/service_monitor_crd.yaml"}).ok());
  ASSERT_TRUE(cluster().eventually_serves("servicemonitors.monitoring.coreos.com"));
  for (const Args& values : value_sets()) {
    const CommandResult rendered = render(Args{"--show-only", "templates/servicemonitor.yaml", "--api-versions",
                                               "monitoring.coreos.com/v1/ServiceMonitor"} +
                                          values);
    if (rendered.err.find("could not find template") != std::string::npos) continue;  // switched off by these values
    ASSERT_TRUE(rendered.ok()) << rendered.err;
    const CommandResult judged =
        cluster().kubectl({"create", "--dry-run=server", "--validate=strict", "--namespace", "default", "-f", "-"},
                          without_namespace(rendered.out));
    EXPECT_TRUE(judged.ok()) << judged.err;
  }
  const CommandResult installed = install("monitored");
  ASSERT_TRUE(installed.ok()) << installed.err;
  const auto get = [&](const Args& what) {
    return cluster().kubectl(Args{"get", "--namespace", "monitored"} + what).out;
  };
  const std::string monitor = "servicemonitor/millrace-operator";
  const std::string labels =
      get({monitor, "-o", "go-template={{range $k, $v := .spec.selector.matchLabels}}{{$k}}={{$v}},{{end}}"});
  ASSERT_FALSE(labels.empty());
  EXPECT_EQ(
      get({"services", "-l", labels.substr(0, labels.size() - 1), "-o", "jsonpath={.items[*].spec.ports[*].name}"}),
      get({monitor, "-o", "jsonpath={.spec.endpoints[*].port}"}));
  uninstall("monitored");
  cluster().kubectl({"delete", crd});
  cluster().kubectl({"delete", "crd", "modeldeployments.millrace.dev"});
}

TEST_F(Chart, MonitorsTheAgentsThatItIsToldOf) {
  EXPECT_THAT(render({}).out, Not(HasSubstr("kind: PodMonitor")));
  const CommandResult rendered =
      render({"-f", kChart / "ci/hardened-values.yaml", "--show-only", "templates/podmonitors.yaml"});
  ASSERT_TRUE(rendered.ok()) << rendered.err;
  EXPECT_THAT(rendered.out, AllOf(HasSubstr("name: chat-admin"), HasSubstr("namespace: prod"),
                                  HasSubstr("serverName: sealed.prod.svc"), HasSubstr("name: sealed-tls")));
  const std::string crd = "crd/podmonitors.monitoring.coreos.com";
  ASSERT_TRUE(cluster().kubectl({"apply", "-f", kSource / "tests/cluster/pod_monitor_crd.yaml"}).ok());
  ASSERT_TRUE(cluster().eventually_serves("podmonitors.monitoring.coreos.com"));
  const CommandResult judged =
      cluster().kubectl({"create", "--dry-run=server", "--validate=strict", "--namespace", "default", "-f", "-"},
                        without_namespace(rendered.out));
  EXPECT_TRUE(judged.ok()) << judged.err;
  cluster().kubectl({"delete", crd});
}

TEST_F(Chart, LetsTheOperatorChangeSecretsOnlyWhereThatIsAskedFor) {
  const auto verbs = [](const Args& values) {
    const std::string text = render(values).out;
    const std::size_t at = text.find("resources: [secrets]");
    return text.substr(at, text.find('\n', text.find("verbs:", at)) - at);
  };
  EXPECT_THAT(verbs({}), HasSubstr("verbs: [get, create]"));
  EXPECT_THAT(verbs({"--set", "rbac.patchSecrets=true"}), HasSubstr("verbs: [get, create, patch]"));
  EXPECT_THAT(verbs({"--set", "namespaces={prod}"}), HasSubstr("verbs: [get, create, patch]"));
}

TEST_F(Chart, InstallsUpgradesAndLeavesTheCrdBehind) {
  const CommandResult installed = install("lifecycle");
  ASSERT_TRUE(installed.ok()) << installed.err;
  EXPECT_THAT(installed.out, HasSubstr("kubectl -n lifecycle rollout status deployment/millrace-operator"));
  const CommandResult upgraded = install("lifecycle", {"--set", "operator.replicas=3"});
  ASSERT_TRUE(upgraded.ok()) << upgraded.err;
  EXPECT_EQ(
      cluster()
          .kubectl({"get", "-n", "lifecycle", "deployment", "millrace-operator", "-o", "jsonpath={.spec.replicas}"})
          .out,
      "3");
  uninstall("lifecycle");
  EXPECT_FALSE(cluster().kubectl({"get", "-n", "lifecycle", "serviceaccount", "millrace-operator"}).ok());
  EXPECT_TRUE(cluster().kubectl({"get", "crd", "modeldeployments.millrace.dev"}).ok());
  ASSERT_TRUE(cluster().kubectl({"delete", "crd", "modeldeployments.millrace.dev"}).ok());
}

TEST_F(Chart, GrantsTheOperatorWhatItNeedsAndNoMore) {
  ASSERT_TRUE(install("cluster-wide").ok());
  const std::string operator_account = "cluster-wide:millrace-operator";
  ASSERT_TRUE(eventually(operator_account, {"list", "nodes"}, "yes\n"));
  const std::vector<Args> needed = {{"watch", "modeldeployments.millrace.dev", "-A"},
                                    {"patch", "modeldeployments.millrace.dev", "--subresource=status", "-A"},
                                    {"create", "pods", "-A"},
                                    {"patch", "pods", "--subresource=status", "-A"},
                                    {"patch", "poddisruptionbudgets.policy", "-A"},
                                    {"watch", "controllerrevisions.apps", "-A"},
                                    {"delete", "controllerrevisions.apps", "-A"},
                                    {"get", "secrets", "-A"},
                                    {"patch", "leases.coordination.k8s.io/millrace-operator", "-n", "cluster-wide"},
                                    {"list", "leases.coordination.k8s.io", "-n", "kube-node-lease"}};
  for (const Args& question : needed) {
    EXPECT_EQ(can_i(operator_account, question), "yes\n") << ::testing::PrintToString(question);
  }
  const std::vector<Args> refused = {{"list", "secrets", "-A"},
                                     {"update", "modeldeployments.millrace.dev", "-A"},
                                     {"watch", "secrets", "-A"},
                                     {"patch", "secrets", "-A"},
                                     {"delete", "services", "-A"},
                                     {"create", "statefulsets.apps", "-A"},
                                     {"patch", "modeldeployments.millrace.dev", "-A"},
                                     {"create", "modeldeployments.millrace.dev", "-A"},
                                     {"delete", "modeldeployments.millrace.dev", "-A"},
                                     {"create", "pods", "--subresource=exec", "-A"},
                                     {"get", "pods", "--subresource=log", "-A"},
                                     {"patch", "nodes"},
                                     {"create", "clusterroles.rbac.authorization.k8s.io"},
                                     {"patch", "leases.coordination.k8s.io/another", "-n", "cluster-wide"},
                                     {"patch", "leases.coordination.k8s.io", "-n", "kube-node-lease"},
                                     {"list", "leases.coordination.k8s.io", "-n", "default"},
                                     {"create", "leases.coordination.k8s.io", "-n", "default"}};
  for (const Args& question : refused) {
    EXPECT_THAT(can_i(operator_account, question), HasSubstr("no")) << ::testing::PrintToString(question);
  }
  uninstall("cluster-wide");
}

TEST_F(Chart, ConfinesTheOperatorToTheNamespacesItServes) {
  cluster().create_namespace("served");
  ASSERT_TRUE(install("confined", {"--set", "namespaces={served},crds.install=false"}).ok());
  const std::string operator_account = "confined:millrace-operator";
  ASSERT_TRUE(eventually(operator_account, {"create", "pods", "-n", "served"}, "yes\n"));
  EXPECT_EQ(can_i(operator_account, {"list", "nodes"}), "yes\n");
  for (const char* elsewhere : {"default", "confined"}) {
    EXPECT_THAT(can_i(operator_account, {"get", "pods", "-n", elsewhere}), HasSubstr("no"));
    EXPECT_THAT(can_i(operator_account, {"get", "secrets", "-n", elsewhere}), HasSubstr("no"));
  }
  uninstall("confined");
}

}  // namespace
}  // namespace millrace::testing
