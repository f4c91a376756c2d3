#include "operator/resources/pod.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/labels.h"

namespace millrace::controller {
namespace {

using ::testing::Contains;
using ::testing::IsSupersetOf;

Parent pod_parent() {
  Parent parent{{"prod", "chat"}, "millrace.dev/v1alpha1", "uid-1", {}, "r1"};
  parent.spec.model.name = "tiny";
  parent.spec.model.source = {ModelSource::Kind::kHostPath, "", "/models/tiny"};
  parent.spec.image = "agent:1";
  return parent;
}

const CreatePod kWanted{"chat-r1-2", 2, 1, "zone-b"};

Json named(const Json& list, const std::string& name) {
  for (const Json& item : list) {
    if (item["name"] == name) return item;
  }
  return nullptr;
}

std::vector<std::string> words(const Json& list) {
  return list.get<std::vector<std::string>>();
}

TEST(Pod, CarriesWhatFindsItAgain) {
  const kube::Object pod = build_pod(pod_parent(), kWanted);
  EXPECT_EQ(pod.name(), "chat-r1-2-1");
  EXPECT_EQ(pod.label(kDeploymentLabel), "chat");
  EXPECT_EQ(pod.label(kGroupLabel), "chat-r1-2");
  EXPECT_EQ(pod.label(kPodIndexLabel), "1");
  EXPECT_EQ(pod.label(kRevisionLabel), "r1");
  EXPECT_EQ(pod.label(kZoneLabel), "zone-b");
  EXPECT_EQ(pod.string_at("/spec/nodeSelector/topology.kubernetes.io~1zone"), "zone-b");
  const auto shape = shape_of_pod(pod);
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->name, "chat-r1-2");
  EXPECT_EQ(shape->pods(), 1);
}

TEST(Pod, IsRoutedByItsGateWhereRequestsArrive) {
  CreatePod leader = kWanted;
  leader.pod_index = 0;
  EXPECT_EQ(build_pod(pod_parent(), leader).at("/spec/readinessGates"),
            Json::parse(R"([{"conditionType":"millrace.dev/routable"}])"));
  CreatePod follower = kWanted;
  follower.pod_index = 1;
  EXPECT_TRUE(build_pod(pod_parent(), follower).at("/spec/readinessGates").is_null());
}

TEST(Pod, PassesTheRestrictedPodSecurityStandard) {
  const kube::Object pod = build_pod(pod_parent(), kWanted);
  EXPECT_TRUE(pod.bool_at("/spec/securityContext/runAsNonRoot"));
  EXPECT_EQ(pod.string_at("/spec/securityContext/seccompProfile/type"), "RuntimeDefault");
  const kube::Object container(pod.at("/spec/containers/0"));
  EXPECT_EQ(container.at("/securityContext/allowPrivilegeEscalation"), Json(false));
  EXPECT_TRUE(container.bool_at("/securityContext/readOnlyRootFilesystem"));
  EXPECT_EQ(container.at("/securityContext/capabilities/drop"), Json::array({"ALL"}));
  EXPECT_EQ(pod.at("/spec/automountServiceAccountToken"), Json(false));
}

TEST(Pod, StartsTheAgentWithItsFiles) {
  const kube::Object pod = build_pod(pod_parent(), kWanted);
  const kube::Object container(pod.at("/spec/containers/0"));
  EXPECT_EQ(container.at("/command"), Json::array({"millrace-agent"}));
  const auto args = words(container.at("/args"));
  EXPECT_EQ(args, (std::vector<std::string>{"--config", "/etc/millrace/config/agent.json", "--model", "/model",
                                            "--admin-token-file", "/etc/millrace/admin/token", "--pod-index", "1"}));
  EXPECT_EQ(named(container.at("/env"), "POD_IP")["valueFrom"]["fieldRef"]["fieldPath"], "status.podIP");
  EXPECT_EQ(named(pod.at("/spec/volumes"), "millrace-config")["configMap"]["name"], "chat-r1");
  EXPECT_EQ(named(pod.at("/spec/volumes"), "millrace-model")["hostPath"]["path"], "/models/tiny");
}

TEST(Pod, IsProbedOnTheAdminPort) {
  const kube::Object container(build_pod(pod_parent(), kWanted).at("/spec/containers/0"));
  EXPECT_EQ(container.string_at("/livenessProbe/httpGet/path"), "/livez");
  EXPECT_EQ(container.string_at("/readinessProbe/httpGet/path"), "/readyz");
  EXPECT_EQ(container.string_at("/readinessProbe/httpGet/port"), "admin");
  EXPECT_EQ(named(container.at("/ports"), "admin")["containerPort"], 8001);
}

TEST(Pod, DrainsBeforeItIsToldToEndWhoeverDeletesIt) {
  const kube::Object container(build_pod(pod_parent(), kWanted).at("/spec/containers/0"));
  EXPECT_EQ(words(container.at("/lifecycle/preStop/exec/command")),
            (std::vector<std::string>{"millrace-agent", "--drain", "--config", "/etc/millrace/config/agent.json",
                                      "--admin-token-file", "/etc/millrace/admin/token"}));
}

TEST(Pod, GetsTimeToDrain) {
  Parent parent = pod_parent();
  parent.spec.drain_timeout_seconds = 600;
  EXPECT_EQ(build_pod(parent, kWanted).int_at("/spec/terminationGracePeriodSeconds"), 630);
}

TEST(Pod, AsksForItsDevices) {
  Parent parent = pod_parent();
  parent.spec.devices = {"nvidia.com/gpu", 4};
  parent.spec.resources.requests = {{"memory", "8Gi"}};
  const kube::Object container(build_pod(parent, kWanted).at("/spec/containers/0"));
  EXPECT_EQ(container.at("/resources/limits"), Json({{"nvidia.com/gpu", "4"}}));
  EXPECT_EQ(container.at("/resources/requests"), Json({{"memory", "8Gi"}, {"nvidia.com/gpu", "4"}}));
}

TEST(Pod, MountsAClaimBelowItsPath) {
  Parent parent = pod_parent();
  parent.spec.model.source = {ModelSource::Kind::kClaim, "weights", "qwen/9b"};
  const kube::Object pod = build_pod(parent, kWanted);
  EXPECT_EQ(named(pod.at("/spec/volumes"), "millrace-model")["persistentVolumeClaim"]["claimName"], "weights");
  EXPECT_EQ(named(pod.at("/spec/containers/0/volumeMounts"), "millrace-model")["subPath"], "qwen/9b");
}

TEST(Pod, TakesTheApiKeyFromTheNamedSecret) {
  Parent parent = pod_parent();
  parent.spec.endpoint.api_key = {"keys", "openai"};
  const kube::Object pod = build_pod(parent, kWanted);
  EXPECT_EQ(named(pod.at("/spec/volumes"), "millrace-api-key")["secret"]["items"],
            Json::parse(R"([{"key":"openai","path":"key"}])"));
  EXPECT_THAT(words(pod.at("/spec/containers/0/args")), Contains("/etc/millrace/api-key/key"));
}

TEST(Pod, SpeaksTlsWithTheCertificateOfTheNamedSecret) {
  EXPECT_EQ(tls_secret_of_pod(build_pod(pod_parent(), kWanted)), "");
  Parent parent = pod_parent();
  parent.spec.tls = TlsSpec{"chat-tls"};
  const kube::Object pod = build_pod(parent, kWanted);
  EXPECT_EQ(tls_secret_of_pod(pod), "chat-tls");
  EXPECT_EQ(named(pod.at("/spec/volumes"), "millrace-tls")["secret"]["secretName"], "chat-tls");
  const kube::Object container(pod.at("/spec/containers/0"));
  EXPECT_EQ(named(container.at("/volumeMounts"), "millrace-tls")["readOnly"], true);
  EXPECT_THAT(words(container.at("/args")),
              IsSupersetOf({"--tls-cert-file", "/etc/millrace/tls/tls.crt", "/etc/millrace/tls/tls.key"}));
  EXPECT_THAT(words(container.at("/lifecycle/preStop/exec/command")),
              IsSupersetOf({"--tls-cert-file", "/etc/millrace/tls/tls.crt", "/etc/millrace/tls/tls.key"}));
  for (const char* probe : {"/startupProbe", "/livenessProbe", "/readinessProbe"}) {
    EXPECT_EQ(container.string_at(std::string(probe) + "/httpGet/scheme"), "HTTPS");
  }
  EXPECT_TRUE(shape_of_pod(pod));
}

TEST(Pod, AddsWhatTheTemplateAsksFor) {
  Parent parent = pod_parent();
  PodTemplate& pod_template = parent.spec.pod_template;
  pod_template.labels = {{"team", "a"}};
  pod_template.annotations = {{"note", "x"}};
  pod_template.node_selector = {{"disk", "ssd"}};
  pod_template.tolerations = Json::parse(R"([{"key":"gpu","operator":"Exists"}])");
  pod_template.priority_class_name = "high";
  pod_template.env = Json::parse(R"([{"name":"A","value":"1"}])");
  pod_template.volumes = Json::parse(R"([{"name":"extra","emptyDir":{}}])");
  pod_template.volume_mounts = Json::parse(R"([{"name":"extra","mountPath":"/extra"}])");
  const kube::Object pod = build_pod(parent, kWanted);
  EXPECT_EQ(pod.label("team"), "a");
  EXPECT_EQ(pod.annotation("note"), "x");
  EXPECT_EQ(pod.string_at("/spec/nodeSelector/disk"), "ssd");
  EXPECT_EQ(pod.string_at("/spec/priorityClassName"), "high");
  EXPECT_EQ(pod.at("/spec/tolerations").size(), 1U);
  EXPECT_EQ(named(pod.at("/spec/containers/0/env"), "A")["value"], "1");
  EXPECT_EQ(named(pod.at("/spec/containers/0/volumeMounts"), "extra")["mountPath"], "/extra");
}

TEST(Pod, LeavesOutWhatNobodyAskedFor) {
  const kube::Object pod = build_pod(pod_parent(), {"chat-r1-0", 0, 0, ""});
  for (const char* field : {"nodeSelector", "tolerations", "affinity", "priorityClassName", "runtimeClassName"}) {
    EXPECT_FALSE(pod.at("/spec").contains(field)) << field;
  }
  EXPECT_FALSE(pod.label(kZoneLabel));
}

TEST(Pod, ReadsNoShapeFromPodsOfOthers) {
  kube::Object pod = build_pod(pod_parent(), kWanted);
  pod.json()["metadata"]["annotations"]["millrace.dev/group-shape"] = R"({"tensor":"many"})";
  EXPECT_FALSE(shape_of_pod(pod));
  EXPECT_FALSE(shape_of_pod(kube::Object()));
}

}  // namespace
}  // namespace millrace::controller
