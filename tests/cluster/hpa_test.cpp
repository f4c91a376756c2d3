// A real HorizontalPodAutoscaler with a metric that the test sets drives a deployment through its scale subresource.
#include <fstream>

#include <gmock/gmock.h>

#include "tests/cluster/life_fixture.h"
#include "tests/paths.h"

namespace millrace::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::filesystem::path kSource = MILLRACE_SOURCE_DIR;
constexpr const char* kAutoscaler = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";

// The external metrics API with one metric, "waiting", reached by the API server as any aggregated one.
class ExternalMetric {
 public:
  explicit ExternalMetric(const ControlPlane& cluster)
      : cluster_(cluster),
        port_(free_port()),
        file_(cluster.dir() / "waiting"),
        server_({"python3", kSource / "tests/cluster/external_metrics.py", std::to_string(port_),
                 cluster.dir() / "pki/apiserver.crt", cluster.dir() / "pki/apiserver.key", file_},
                cluster.dir() / "external-metrics.log") {
    set(0);
    const CommandResult applied =
        cluster_.kubectl({"apply", "-f", "-"}, R"({"apiVersion": "v1", "kind": "List", "items": [
      {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "external-metrics", "namespace": "default"},
       "spec": {"type": "ExternalName", "externalName": "localhost"}},
      {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
       "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
       "spec": {"group": "external.metrics.k8s.io", "version": "v1beta1", "insecureSkipTLSVerify": true,
                "groupPriorityMinimum": 100, "versionPriority": 100,
                "service": {"name": "external-metrics", "namespace": "default", "port": )" +
                                                   std::to_string(port_) + "}}}]}");
    EXPECT_TRUE(applied.ok()) << applied.err;
  }
  // An API without a server would keep the controllers from finding their kinds.
  ~ExternalMetric() { cluster_.kubectl({"delete", "apiservice", "v1beta1.external.metrics.k8s.io"}); }

  void set(int value) const {
    const std::filesystem::path next = file_.string() + ".next";
    std::ofstream(next) << value;
    std::filesystem::rename(next, file_);
  }
  bool served() const {
    return cluster_.kubectl({"get", "--raw", "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/waiting"}).ok();
  }

 private:
  const ControlPlane& cluster_;
  const int port_;
  const std::filesystem::path file_;
  BackgroundProcess server_;
};

// Every attempt to scale, a line for each.
std::vector<std::string> scaled_by(const std::string& user, std::size_t mark) {
  std::vector<std::string> lines;
  for (const AuditedWrite& write : audited_writes(Life::cluster().audit_log(), user, mark)) {
    const bool scales = write.resource == "modeldeployments" || write.resource == "modeldeployments/scale";
    if (scales) lines.push_back(to_string(write));
  }
  return lines;
}

TEST_F(Life, FollowsAHorizontalPodAutoscalerAndSaysThatItsOwnIsOff) {
  if (!controllers_) GTEST_SKIP() << "needs kube-controller-manager, which scripts/cluster-tools.sh --nodes builds";
  const ExternalMetric waiting(cluster());
  ASSERT_TRUE(eventually([&] { return waiting.served(); }));
  apply("driven", {{"replicas", 1}, {"autoscaling", {{"mode", "external"}}}});
  ASSERT_TRUE(eventually([] { return is_ready("driven"); })) << get("driven").at("/status").dump(1);
  const Json own = condition("driven", "AutoscalingActive");
  EXPECT_EQ(own.value("status", "") + " " + own.value("reason", ""), "False External");
  const std::size_t mark = std::filesystem::file_size(cluster().audit_log());
  const CommandResult applied = cluster().kubectl({"apply", "-f", "-"}, R"({
    "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "driven"},
    "spec": {"scaleTargetRef": {"apiVersion": "millrace.dev/v1alpha1", "kind": "ModelDeployment", "name": "driven"},
             "minReplicas": 1, "maxReplicas": 4, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
             "metrics": [{"type": "External", "external": {"metric": {"name": "waiting"},
                          "target": {"type": "AverageValue", "averageValue": "10"}}}]}})");
  ASSERT_TRUE(applied.ok()) << applied.err;
  const auto hpa = [] { return cluster().kubectl({"describe", "hpa", "driven"}).out; };
  const auto serves = [](std::size_t groups) { return pods("driven").size() == groups && is_ready("driven"); };
  waiting.set(25);
  EXPECT_TRUE(eventually([&] { return serves(3); })) << hpa();
  waiting.set(10);
  EXPECT_TRUE(eventually([&] { return serves(1); })) << hpa();
  std::vector<std::string> scaled = scaled_by(kAutoscaler, mark);
  // Refused because the status was written between its read and its write: that scaled nothing.
  std::erase_if(scaled, [](const std::string& attempt) { return attempt.ends_with(" 409"); });
  EXPECT_THAT(scaled, SizeIs(2)) << hpa();
  EXPECT_THAT(scaled_by(OperatorProcess::kUser, mark), IsEmpty());
  cluster().kubectl({"delete", "hpa", "driven"});
}

}  // namespace
}  // namespace millrace::testing
