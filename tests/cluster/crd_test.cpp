// The schema of ModelDeployment judged by a real API server: what it refuses and in which words, what it fills in.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "tests/paths.h"

#include "tests/cluster/control_plane.h"

namespace millrace::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::filesystem::path kSource = MILLRACE_SOURCE_DIR;

std::vector<std::filesystem::path> manifests_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// The message a bad manifest says it expects, on its first line: "# expect: <part of the message>".
std::string expected_message(const std::filesystem::path& manifest) {
  const std::string mark = "# expect: ";
  std::string line;
  std::ifstream file(manifest);
  std::getline(file, line);
  return line.starts_with(mark) ? line.substr(mark.size()) : std::string();
}

class Crd : public SharedControlPlane {
 protected:
  static void SetUpTestSuite() {
    SharedControlPlane::SetUpTestSuite();
    if (ControlPlane::unavailable().empty()) cluster().install_crd();
  }

  static CommandResult dry_run(const std::filesystem::path& manifest) {
    return cluster().kubectl({"create", "--dry-run=server", "-o", "json", "-f", manifest});
  }

  // The spec the API server makes of a manifest; fields that it leaves out print as nothing.
  static std::string field(const std::filesystem::path& manifest, const std::string& path) {
    return cluster().kubectl({"create", "--dry-run=server", "-o", "jsonpath={" + path + "}", "-f", manifest}).out;
  }
};

TEST_F(Crd, RefusesEveryBadManifestWithTheMessageItExpects) {
  const auto manifests = manifests_in(kSource / "tests/cluster/manifests/bad");
  EXPECT_GE(manifests.size(), 60u);
  for (const auto& manifest : manifests) {
    SCOPED_TRACE(manifest.filename());
    const std::string expected = expected_message(manifest);
    ASSERT_FALSE(expected.empty()) << "the first line must be '# expect: <part of the message>'";
    const CommandResult result = dry_run(manifest);
    EXPECT_FALSE(result.ok());
    EXPECT_THAT(result.err, HasSubstr(expected));
  }
}

TEST_F(Crd, AcceptsEveryGoodManifest) {
  const auto manifests = manifests_in(kSource / "tests/cluster/manifests/good");
  EXPECT_FALSE(manifests.empty());
  for (const auto& manifest : manifests) {
    const CommandResult result = dry_run(manifest);
    EXPECT_TRUE(result.ok()) << manifest << ": " << result.err;
  }
}

TEST_F(Crd, AcceptsEveryExample) {
  const auto manifests = manifests_in(kSource / "examples");
  EXPECT_GE(manifests.size(), 7u);
  for (const auto& manifest : manifests) {
    const CommandResult result = dry_run(manifest);
    EXPECT_TRUE(result.ok()) << manifest << ": " << result.err;
  }
}

TEST_F(Crd, FillsInTheDefaultsOfAMinimalManifest) {
  const auto minimal = kSource / "tests/cluster/manifests/good/minimal.yaml";
  EXPECT_EQ(field(minimal, ".spec.replicas"), "1");
  EXPECT_EQ(field(minimal, ".spec.parallelism"), R"({"expert":1,"tensor":1})");
  EXPECT_EQ(field(minimal, ".spec.devices"), R"({"perPod":1,"resource":"cpu"})");
  EXPECT_EQ(field(minimal, ".spec.endpoint"), R"({"port":8000,"serviceType":"ClusterIP"})");
  EXPECT_EQ(field(minimal, ".spec.drain"), R"({"timeoutSeconds":300})");
  EXPECT_EQ(field(minimal, ".spec.engine"), "");
}

TEST_F(Crd, FillsInWhatAHalfWrittenSectionLeavesOut) {
  const auto partial = kSource / "tests/cluster/manifests/good/partial-sections.yaml";
  EXPECT_EQ(field(partial, ".spec.parallelism"), R"({"expert":1,"tensor":4})");
  EXPECT_EQ(field(partial, ".spec.devices"), R"({"perPod":2,"resource":"cpu"})");
  EXPECT_EQ(field(partial, ".spec.endpoint.port"), "8000");
}

TEST_F(Crd, KeepsPodFieldsThatItDoesNotKnow) {
  const auto full = kSource / "tests/cluster/manifests/good/everything.yaml";
  EXPECT_EQ(field(full, ".spec.podTemplate.volumes[0].emptyDir.sizeLimit"), "1Gi");
  EXPECT_EQ(field(full, ".spec.podTemplate.env[1].valueFrom.fieldRef.fieldPath"), "spec.nodeName");
}

TEST_F(Crd, ScalesThroughTheScaleSubresource) {
  const auto minimal = kSource / "tests/cluster/manifests/good/minimal.yaml";
  ASSERT_TRUE(cluster().kubectl({"apply", "-f", minimal}).ok());
  const CommandResult scaled = cluster().kubectl({"scale", "md/minimal", "--replicas=3"});
  EXPECT_TRUE(scaled.ok()) << scaled.err;
  EXPECT_EQ(cluster().kubectl({"get", "md", "minimal", "-o", "jsonpath={.spec.replicas}"}).out, "3");
  const CommandResult refused = cluster().kubectl({"scale", "md/minimal", "--replicas=1001"});
  EXPECT_THAT(refused.err, HasSubstr("should be less than or equal to 1000"));
}

TEST_F(Crd, PrintsTheColumnsOfAServingDeployment) {
  const auto minimal = kSource / "tests/cluster/manifests/good/minimal.yaml";
  ASSERT_TRUE(cluster().kubectl({"apply", "-f", minimal}).ok());
  const std::string status = R"({"status": {"routableReplicas": 2, "currentRevision": "7c9f", "zones": ["zone-a"],
    "conditions": [{"type": "Ready", "status": "False", "reason": "Unschedulable", "message": "no node has 8 GPUs",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})";
  const CommandResult patched =
      cluster().kubectl({"patch", "md", "minimal", "--subresource=status", "--type=merge", "-p", status});
  ASSERT_TRUE(patched.ok()) << patched.err;
  EXPECT_THAT(cluster().kubectl({"get", "md", "minimal"}).out,
              AllOf(HasSubstr("READY"), HasSubstr("DESIRED"), HasSubstr("ROUTABLE"), HasSubstr("7c9f"),
                    HasSubstr("Unschedulable")));
  EXPECT_THAT(cluster().kubectl({"get", "inference", "-o", "wide"}).out,
              AllOf(HasSubstr("zone-a"), HasSubstr("no node has 8 GPUs")));
}

TEST_F(Crd, ExplainsItsFields) {
  EXPECT_THAT(cluster().kubectl({"explain", "md.spec.devices.perPod"}).out, HasSubstr("Ranks in a pod"));
}

}  // namespace
}  // namespace millrace::testing
