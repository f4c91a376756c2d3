// The operator's program against a real API server, with no more rights than the chart gives it.
#include <algorithm>

#include <gmock/gmock.h>

#include "tests/paths.h"

#include "tests/cluster/operator_process.h"

namespace millrace::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::filesystem::path kSource = MILLRACE_SOURCE_DIR;

// Nobody runs pods here, so that every group stays pending: what is seen is what the operator writes.
class Operator : public SharedControlPlane {
 protected:
  static void SetUpTestSuite() {
    SharedControlPlane::SetUpTestSuite();
    if (!ControlPlane::unavailable().empty() || find_program("helm").empty()) return;
    make_node("node-a", "zone-a");
    make_node("node-b", "zone-b");
    operator_ = std::make_unique<OperatorProcess>(cluster());
  }

  static void TearDownTestSuite() {
    operator_.reset();
    SharedControlPlane::TearDownTestSuite();
  }

  void SetUp() override {
    SharedControlPlane::SetUp();
    if (find_program("helm").empty()) GTEST_SKIP() << "helm is absent: run scripts/cluster-tools.sh";
  }

  void TearDown() override {
    if (HasFailure() && operator_ != nullptr) std::cerr << operator_->log();
  }

  static void make_node(const std::string& name, const std::string& zone) {
    const std::string node = R"({"apiVersion": "v1", "kind": "Node", "metadata": {"name": ")" + name +
                             R"(", "labels": {"topology.kubernetes.io/zone": ")" + zone + R"("}}})";
    const CommandResult made = cluster().kubectl({"create", "-f", "-"}, node);
    ASSERT_TRUE(made.ok()) << made.err;
    const std::string status = R"({"status": {"allocatable": {"cpu": "16", "memory": "64Gi", "pods": "110"},
      "capacity": {"cpu": "16", "memory": "64Gi", "pods": "110"},
      "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}})";
    const CommandResult ready =
        cluster().kubectl({"patch", "node", name, "--subresource=status", "--type=merge", "-p", status});
    ASSERT_TRUE(ready.ok()) << ready.err;
  }

  static std::string get(const std::string& what, const std::string& path) {
    return cluster().kubectl({"get", what, "-o", "jsonpath={" + path + "}"}).out;
  }

  static std::string pods_of(const std::string& deployment) {
    return cluster().kubectl({"get", "pods", "-l", "millrace.dev/deployment=" + deployment, "-o", "name"}).out;
  }

  static long count_pods(const std::string& deployment) {
    const std::string names = pods_of(deployment);
    return std::count(names.begin(), names.end(), '\n');
  }

  static inline std::unique_ptr<OperatorProcess> operator_;
};

TEST_F(Operator, MakesEveryChildOfADeployment) {
  ASSERT_TRUE(cluster().kubectl({"apply", "-f", kSource / "examples/tiny-moe.yaml"}).ok());
  ASSERT_TRUE(eventually([] { return count_pods("tiny-moe") == 2; })) << pods_of("tiny-moe");
  EXPECT_EQ(get("service/tiny-moe", ".spec.ports[0].port"), "8000");
  EXPECT_NE(get("poddisruptionbudget/tiny-moe", ".spec.selector"), "");
  EXPECT_NE(get("secret/tiny-moe-admin", ".data"), "");
  EXPECT_NE(cluster().kubectl({"get", "configmap", "-l", "millrace.dev/deployment=tiny-moe", "-o", "name"}).out, "");
  EXPECT_TRUE(eventually([] {
    return get("md/tiny-moe", ".status.conditions[?(@.type==\"Accepted\")].status") == "True";
  })) << get("md/tiny-moe", ".status");
  EXPECT_EQ(get("md/tiny-moe", ".status.observedGeneration"), "1");
}

TEST_F(Operator, FollowsTheScaleSubresource) {
  ASSERT_TRUE(cluster().kubectl({"apply", "-f", kSource / "examples/tiny-moe.yaml"}).ok());
  ASSERT_TRUE(cluster().kubectl({"scale", "md/tiny-moe", "--replicas=2"}).ok());
  EXPECT_TRUE(eventually([] { return count_pods("tiny-moe") == 4; })) << pods_of("tiny-moe");
  ASSERT_TRUE(cluster().kubectl({"scale", "md/tiny-moe", "--replicas=0"}).ok());
  EXPECT_TRUE(eventually([] { return count_pods("tiny-moe") == 0; })) << pods_of("tiny-moe");
}

TEST_F(Operator, TellsInEventsWhatItDid) {
  ASSERT_TRUE(cluster().kubectl({"apply", "-f", kSource / "examples/qwq-32b.yaml"}).ok());
  EXPECT_TRUE(eventually([] {
    return cluster().kubectl({"get", "events.events.k8s.io", "-o", "yaml"}).out.find("name: qwq-32b") !=
           std::string::npos;
  }));
}

TEST_F(Operator, IsRefusedNothing) {
  EXPECT_THAT(operator_->metrics(), HasSubstr("code=\"200\""));
  EXPECT_THAT(operator_->metrics(), Not(HasSubstr("code=\"403\"")));
  EXPECT_THAT(operator_->log(), Not(HasSubstr("orbidden")));
}

}  // namespace
}  // namespace millrace::testing
