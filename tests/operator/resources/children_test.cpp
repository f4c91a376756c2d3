#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/labels.h"
#include "operator/resources/admin_secret.h"
#include "operator/resources/config_map.h"
#include "operator/resources/disruption_budget.h"
#include "operator/resources/service.h"

namespace millrace::controller {
namespace {

Parent sample() {
  Parent parent{{"prod", "chat"}, "millrace.dev/v1alpha1", "uid-1", {}, "r1"};
  parent.spec.model.name = "tiny";
  return parent;
}

TEST(Children, BelongToTheirDeployment) {
  for (const kube::Object& child : {build_service(sample()), build_config_map(sample()),
                                    build_disruption_budget(sample()), build_admin_secret(sample(), {"t"})}) {
    const auto owner = child.controller_owner();
    ASSERT_TRUE(owner);
    EXPECT_EQ(owner->uid, "uid-1");
    EXPECT_EQ(owner->kind, "ModelDeployment");
    EXPECT_EQ(child.ns(), "prod");
    EXPECT_EQ(child.label(kDeploymentLabel), "chat");
    EXPECT_EQ(child.label(kManagedBy), kManagedByValue);
  }
}

TEST(Children, TheServiceSelectsLeaders) {
  Parent parent = sample();
  parent.spec.endpoint.port = 9000;
  parent.spec.endpoint.service_type = "LoadBalancer";
  const kube::Object service = build_service(parent);
  EXPECT_EQ(service.name(), "chat");
  EXPECT_EQ(service.at("/spec/selector"), Json({{kDeploymentLabel, "chat"}, {kPodIndexLabel, "0"}}));
  ASSERT_TRUE(service.at("/spec/ports").is_array());
  EXPECT_EQ(service.int_at("/spec/ports/0/port"), 9000);
  EXPECT_EQ(service.string_at("/spec/type"), "LoadBalancer");
  EXPECT_EQ(endpoint_url(parent), "http://chat.prod.svc:9000");
}

TEST(Children, TheServiceSaysThatItSpeaksTls) {
  Parent parent = sample();
  EXPECT_EQ(build_service(parent).string_at("/spec/ports/0/name"), "http");
  parent.spec.tls = TlsSpec{"chat-tls"};
  const kube::Object service = build_service(parent);
  EXPECT_EQ(service.string_at("/spec/ports/0/name"), "https");
  EXPECT_EQ(service.string_at("/spec/ports/0/appProtocol"), "https");
  EXPECT_EQ(endpoint_url(parent), "https://chat.prod.svc:8000");
}

TEST(Children, TheConfigurationIsWhatAgentsRead) {
  Parent parent = sample();
  parent.spec.engine.max_num_seqs = 7;
  parent.spec.engine.memory_bytes = 1 << 30;
  const kube::Object map = build_config_map(parent);
  EXPECT_EQ(map.name(), "chat-r1");
  const auto config = Json::parse(map.string_at("/data/agent.json")).get<common::AgentConfig>();
  EXPECT_EQ(config.served_model_name, "tiny");
  EXPECT_EQ(config.max_num_seqs, 7);
  EXPECT_EQ(config.cache_bytes, 1 << 30);
  EXPECT_EQ(config.backend, "cpu");
}

TEST(Children, AStepHoldsAtLeastOneTokenOfEverySequence) {
  Spec spec;
  spec.engine.max_num_seqs = 2000;
  EXPECT_EQ(agent_config(spec).max_num_batched_tokens, 2000);
}

TEST(Children, TheDisruptionBudgetLetsNoServingPodGoUnlessAGroupMayBeMissing) {
  Parent parent = sample();
  parent.spec.replicas = 3;
  parent.spec.parallelism.tensor = 4;
  parent.spec.devices.per_pod = 2;
  EXPECT_EQ(build_disruption_budget(parent).int_at("/spec/minAvailable"), 6);
  EXPECT_EQ(build_disruption_budget(parent).string_at("/spec/unhealthyPodEvictionPolicy"), "AlwaysAllow");
  EXPECT_EQ(build_disruption_budget(parent).string_at("/spec/selector/matchExpressions/0/key"), kGroupLabel);
  parent.spec.rollout.max_unavailable = {1, false};
  EXPECT_EQ(build_disruption_budget(parent).int_at("/spec/minAvailable"), 5);
  parent.spec.replicas = 0;
  EXPECT_EQ(build_disruption_budget(parent).int_at("/spec/minAvailable"), 0);
}

TEST(Children, TokensAreRandomAndSurviveTheSecret) {
  const std::string token = random_token();
  EXPECT_EQ(token.size(), 64U);
  EXPECT_NE(token, random_token());
  EXPECT_EQ(token_of(build_admin_secret(sample(), {token}), TimePoint{}), AdminToken{token});
  EXPECT_FALSE(token_of(kube::Object(), TimePoint{}));
}

TEST(Children, ATokenBeforeCountsUntilItsTimeIsOver) {
  const TimePoint now(std::chrono::hours(1000));
  const AdminToken next = rotated("old", now);
  EXPECT_NE(next.token, "old");
  EXPECT_EQ(next.previous, "old");
  const kube::Object secret = build_admin_secret(sample(), next, "please");
  EXPECT_EQ(secret.annotation(kRotateAnnotation), "please");
  EXPECT_EQ(token_of(secret, now), next);
  EXPECT_EQ(token_of(secret, now + kTokenOverlap)->previous, "");
  EXPECT_EQ(token_of(secret, now + kTokenOverlap)->token, next.token);
}

}  // namespace
}  // namespace millrace::controller
