#include "operator/resources/verifier_pod.h"

#include <gtest/gtest.h>

#include "operator/api/labels.h"
#include "operator/resources/pod.h"

namespace millrace::controller {
namespace {

Parent verified_parent() {
  Parent parent{{"prod", "chat"}, "millrace.dev/v1alpha1", "uid-1", {}, "r2"};
  parent.spec.model.source = {ModelSource::Kind::kClaim, "weights", "chat/2"};
  parent.spec.image = "agent:2";
  parent.spec.parallelism = {4, 2};
  parent.spec.devices = {"nvidia.com/gpu", 2};
  parent.spec.pod_template.tolerations = Json::array({{{"key", "nvidia.com/gpu"}, {"operator", "Exists"}}});
  parent.spec.pod_template.env = Json::array({{{"name", "A"}, {"value", "b"}}});
  parent.spec.endpoint.api_key = SecretKeyRef{"keys", "key"};
  return parent;
}

TEST(VerifierPod, ReadsTheModelOfItsRevisionAsTheGroupsWillSeeIt) {
  const kube::Object pod = build_verifier_pod(verified_parent(), "node-7");
  EXPECT_EQ(pod.name(), "chat-r2-verify");
  EXPECT_EQ(revision_verified_by(pod), "r2");
  EXPECT_EQ(pod.string_at("/spec/nodeName"), "node-7");
  EXPECT_EQ(pod.string_at("/spec/restartPolicy"), "OnFailure");
  EXPECT_EQ(pod.string_at("/spec/containers/0/image"), "agent:2");
  EXPECT_EQ(pod.at("/spec/containers/0/args"),
            Json({"--model", "/model", "--check-model", "--tensor", "4", "--expert", "2"}));
  ASSERT_EQ(pod.at("/spec/volumes").size(), 2U) << "no configuration, no secrets";
  EXPECT_EQ(pod.string_at("/spec/volumes/0/persistentVolumeClaim/claimName"), "weights");
  EXPECT_EQ(pod.string_at("/spec/containers/0/volumeMounts/0/subPath"), "chat/2");
}

TEST(VerifierPod, TakesNoDeviceAndGetsNoTraffic) {
  const kube::Object pod = build_verifier_pod(verified_parent(), "node-7");
  EXPECT_FALSE(pod.at("/spec/containers/0/resources").dump().find("nvidia") != std::string::npos);
  EXPECT_EQ(pod.label(kDeploymentLabel), "chat") << "so that the operator finds it again";
  EXPECT_FALSE(pod.label(kPodIndexLabel)) << "the Service selects by it";
  EXPECT_FALSE(pod.label(kGroupLabel)) << "the disruption budget selects by it";
  EXPECT_FALSE(shape_of_pod(pod));
  for (const char* field : {"ports", "env", "readinessProbe", "livenessProbe", "startupProbe"}) {
    EXPECT_FALSE(pod.at("/spec/containers/0").contains(field)) << field;
  }
}

TEST(VerifierPod, PassesTheRestrictedPodSecurityStandardAndTheTaintsOfItsNode) {
  const kube::Object pod = build_verifier_pod(verified_parent(), "node-7");
  EXPECT_TRUE(pod.bool_at("/spec/securityContext/runAsNonRoot"));
  EXPECT_EQ(pod.at("/spec/containers/0/securityContext/capabilities/drop"), Json::array({"ALL"}));
  EXPECT_EQ(pod.at("/spec/tolerations"), verified_parent().spec.pod_template.tolerations);
}

}  // namespace
}  // namespace millrace::controller
