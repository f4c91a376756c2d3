#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/manifest.h"
#include "operator/api/model_deployment.h"

namespace millrace::controller {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

kube::Object object(const std::string& spec_yaml, const std::string& name = "m") {
  kube::Object result(kube::kModelDeployment, {"default", name});
  result.json()["spec"] = parse_yaml(spec_yaml, "spec").at(0);
  return result;
}

const std::string kModel = "model: {source: 'file:///models/m'}\n";

std::vector<std::string> problems(const std::string& spec_yaml, const std::string& name = "m") {
  return parse_spec(object(spec_yaml, name), UnknownFields::kRefuse).problems;
}

TEST(SpecParser, FillsInDefaults) {
  const ParsedSpec parsed = parse_spec(object(kModel), UnknownFields::kRefuse);
  ASSERT_THAT(parsed.problems, IsEmpty());
  EXPECT_EQ(parsed.spec.replicas, 1);
  EXPECT_EQ(parsed.spec.model.name, "m");
  EXPECT_EQ(parsed.spec.model.source.path, "/models/m");
  EXPECT_EQ(parsed.spec.pods_per_group(), 1);
  EXPECT_EQ(parsed.spec.devices.resource, "cpu");
  EXPECT_EQ(parsed.spec.endpoint.port, 8000);
  EXPECT_EQ(parsed.spec.drain_timeout_seconds, 300);
  EXPECT_EQ(parsed.spec.termination_grace_seconds(), 330);
}

TEST(SpecParser, ReadsEveryField) {
  const Spec spec = parse_spec(object(R"(
replicas: 3
model: {name: q, source: 'pvc://weights/a/b', revision: v2}
image: agent:2
parallelism: {tensor: 8, expert: 4}
devices: {resource: nvidia.com/gpu, perPod: 4}
resources: {requests: {memory: 64Gi}, limits: {memory: 128Gi, cpu: 8}}
podTemplate: {labels: {a: b}, priorityClassName: high, env: [{name: X, value: y}]}
engine: {maxModelLen: 4096, maxNumSeqs: 8, maxNumBatchedTokens: 64, memory: 1Gi, threads: 2, maxQueuedRequests: 9}
endpoint: {port: 9000, serviceType: NodePort, auth: {apiKeySecretRef: {name: keys, key: k}}}
tls: {secretName: chat-tls}
drain: {timeoutSeconds: 60}
zones: [a, b]
)"),
                               UnknownFields::kRefuse)
                        .spec;
  EXPECT_EQ(spec.replicas, 3);
  EXPECT_EQ(spec.model.source.kind, ModelSource::Kind::kClaim);
  EXPECT_EQ(spec.model.source.claim, "weights");
  EXPECT_EQ(spec.model.source.path, "a/b");
  EXPECT_EQ(spec.pods_per_group(), 2);
  EXPECT_EQ(spec.resources.limits.at("cpu"), "8");
  EXPECT_EQ(spec.pod_template.env.size(), 1U);
  EXPECT_EQ(spec.engine.memory_bytes, std::int64_t{1} << 30);
  EXPECT_EQ(spec.endpoint.api_key->key, "k");
  EXPECT_EQ(spec.tls->secret_name, "chat-tls");
  EXPECT_EQ(spec.zones, (std::vector<std::string>{"a", "b"}));
}

struct Bad {
  std::string spec;
  std::string message;
};

TEST(SpecParser, NamesTheFieldTheValueAndWhatIsAccepted) {
  const std::vector<Bad> cases{
      {"{}", "spec.model is missing"},
      {"model: {}", "spec.model.source is missing"},
      {"model: 3", "spec.model is 3"},
      {"model: {source: 'http://x'}", "file:///absolute/path or pvc://"},
      {"model: {source: 'file://relative'}", "needs an absolute path"},
      {"model: {source: 'file:///a/../b'}", ".."},
      {kModel + "replicas: -1", "spec.replicas is -1: use a whole number from 0 to 1000"},
      {kModel + "replicas: 1.5", "spec.replicas is 1.5"},
      {kModel + "replicas: 99999999999999999999", "spec.replicas is"},
      {kModel + "replicas: many", "spec.replicas is \"many\""},
      {kModel + "parallelism: {tensor: 3}", "spec.parallelism.tensor is 3: use 1, 2, 4, 8, 16, 32 or 64"},
      {kModel + "parallelism: {tensor: 4, expert: 3}", "spec.parallelism.expert is 3 but tensor is 4"},
      {kModel + "parallelism: {tensor: 2}\ndevices: {perPod: 4}", "multiple of perPod"},
      {kModel + "devices: {resource: gpu}", "extended resource such as nvidia.com/gpu"},
      {kModel + "resources: {requests: {cpu: lots}}", "spec.resources.requests.cpu is \"lots\""},
      {kModel + "resources: {requests: {cpu: 4}, limits: {cpu: 2}}", "lower the request or raise the limit"},
      {kModel + "engine: {memory: none}", "spec.engine.memory"},
      {kModel + "engine: {maxNumSeqs: 64, maxNumBatchedTokens: 8}", "maxNumBatchedTokens"},
      {kModel + "endpoint: {serviceType: External}", "ClusterIP, NodePort or LoadBalancer"},
      {kModel + "endpoint: {port: 8001}", "spec.endpoint.port is 8001"},
      {kModel + "endpoint: {auth: {}}", "apiKeySecretRef is missing"},
      {kModel + "tls: {}", "spec.tls.secretName is \"\": give the name of a Secret of type kubernetes.io/tls"},
      {kModel + "tls: {secretName: Chat}", "spec.tls.secretName is \"Chat\""},
      {kModel + "podTemplate: {labels: {millrace.dev/group: x}}", "prefix of your own"},
      {kModel + "podTemplate: {volumeMounts: [{name: x, mountPath: /x}]}", "volumeMounts"},
      {kModel + "podTemplate: {volumes: [3]}", "volumes"},
      {kModel + "zones: [a, a]", "spec.zones"},
      {kModel + "replica: 3", "spec.replica is not a field"},
  };
  for (const Bad& bad : cases) {
    EXPECT_THAT(problems(bad.spec), Contains(HasSubstr(bad.message))) << bad.spec;
  }
}

TEST(SpecParser, RefusesNamesThatPodsCannotCarry) {
  EXPECT_THAT(problems(kModel, "9lives"), Contains(HasSubstr("metadata.name is \"9lives\"")));
  EXPECT_THAT(problems(kModel, std::string(41, 'a')), Contains(HasSubstr("at most 40")));
}

TEST(SpecParser, IgnoresUnknownFieldsOfAStoredObject) {
  EXPECT_TRUE(parse_spec(object(kModel + "future: {a: 1}"), UnknownFields::kIgnore).ok());
}

TEST(SpecParser, CollectsEveryProblem) {
  EXPECT_GE(problems("replicas: -1\nparallelism: {tensor: 3}").size(), 3U);
}

TEST(SpecParser, SurvivesAnObjectWithoutSpec) {
  EXPECT_FALSE(parse_spec(kube::Object(), UnknownFields::kRefuse).ok());
  EXPECT_FALSE(
      parse_spec(kube::Object(Json::parse(R"({"metadata":{"name":"m"},"spec":[1]})")), UnknownFields::kRefuse).ok());
}

TEST(SpecParser, ReadsAutoscaling) {
  const ParsedSpec parsed = parse_spec(object(kModel + R"(
autoscaling:
  minReplicas: 2
  maxReplicas: 9
  targets: {queuePerReplica: 3, cacheUsePercent: 70, firstTokenP95Milliseconds: 800, interTokenP95Milliseconds: 40}
  behavior:
    scaleUp: {stabilizationWindowSeconds: 10, selectPolicy: Min, policies: [{type: Pods, value: 2, periodSeconds: 20}]}
    scaleDown: {selectPolicy: Disabled}
  costPerReplicaHour: 2.50
)"),
                                       UnknownFields::kRefuse);
  ASSERT_THAT(parsed.problems, IsEmpty());
  const AutoscalingSpec& autoscaling = *parsed.spec.autoscaling;
  EXPECT_EQ(autoscaling.mode, AutoscalingSpec::Mode::kBuiltIn);
  EXPECT_EQ(autoscaling.min_replicas, 2);
  EXPECT_EQ(autoscaling.max_replicas, 9);
  EXPECT_DOUBLE_EQ(autoscaling.targets.queue_per_replica, 3);
  EXPECT_DOUBLE_EQ(autoscaling.targets.cache_use, 0.7);
  EXPECT_DOUBLE_EQ(*autoscaling.targets.first_token_p95, 0.8);
  EXPECT_DOUBLE_EQ(*autoscaling.targets.inter_token_p95, 0.04);
  EXPECT_EQ(autoscaling.scale_up.select, ScalingRules::Select::kMin);
  EXPECT_EQ(autoscaling.scale_up.window_seconds, 10);
  EXPECT_EQ(autoscaling.scale_up.policies.size(), 1U);
  EXPECT_EQ(autoscaling.scale_down.select, ScalingRules::Select::kDisabled);
  EXPECT_EQ(autoscaling.scale_down.window_seconds, 120);
  EXPECT_DOUBLE_EQ(*autoscaling.cost_per_replica_hour, 2.5);
}

TEST(SpecParser, RefusesAutoscalingThatCannotWork) {
  const auto says = [](const std::string& yaml, const char* problem) {
    EXPECT_THAT(problems(kModel + "autoscaling: " + yaml), Contains(HasSubstr(problem)));
  };
  says("{}", "spec.autoscaling.maxReplicas is missing: say how many groups there may be");
  says("{minReplicas: 3, maxReplicas: 2}",
       "spec.autoscaling.maxReplicas is 2 but minReplicas is 3: raise the one or lower the other");
  says("{maxReplicas: 2, mode: auto}", "spec.autoscaling.mode is \"auto\": use builtIn or external");
  says("{maxReplicas: 2, minReplicas: 0}", "spec.autoscaling.minReplicas is 0: use a whole number from 1 to 1000");
  says("{maxReplicas: 2, targets: {cacheUsePercent: 120}}",
       "spec.autoscaling.targets.cacheUsePercent is 120: use a whole number from 1 to 100");
  says("{maxReplicas: 2, targets: {ttft: 1}}", "spec.autoscaling.targets.ttft is not a field");
  says("{maxReplicas: 2, costPerReplicaHour: cheap}",
       "spec.autoscaling.costPerReplicaHour is \"cheap\": use a quantity such as 2.50 or 98");
  says("{maxReplicas: 2, behavior: {scaleUp: {policies: [{type: Nodes, value: 1, periodSeconds: 5}]}}}",
       "spec.autoscaling.behavior.scaleUp.policies[0].type is \"Nodes\": use Pods or Percent");
  says("{maxReplicas: 2, behavior: {scaleDown: {selectPolicy: Least}}}",
       "spec.autoscaling.behavior.scaleDown.selectPolicy is \"Least\": use Max, Min or Disabled");
}

}  // namespace
}  // namespace millrace::controller
