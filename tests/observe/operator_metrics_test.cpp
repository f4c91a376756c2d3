// What Prometheus reads from the operator: names, labels and values, and that docs/operator-metrics.md lists them all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <fstream>

#include "operator/fleet_metrics.h"
#include "operator/kube/timestamp.h"
#include "operator/local/memory_cluster.h"
#include "operator/metrics.h"
#include "tests/paths.h"
#include "tests/support/matches.h"

namespace millrace::controller {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = kube::Json;
using test::matches;

std::string text_of(const FleetView& fleet) {
  return prometheus::TextSerializer().Serialize(fleet_metrics(fleet));
}

FleetView view_of(const Json& object) {
  FleetView fleet;
  fleet.each_deployment = [object](const auto& show) { show(kube::Object(object)); };
  return fleet;
}

Json condition(const char* type, const char* status) {
  return {{"type", type}, {"status", status}};
}

// Everything that status can say.
Json chat() {
  Json object;
  object["metadata"] = {{"name", "chat"}, {"namespace", "ml"}, {"generation", 7}};
  object["spec"] = {{"replicas", 2}, {"autoscaling", {{"minReplicas", 1}, {"maxReplicas", 8}}}};
  Json& status = object["status"];
  status = {{"observedGeneration", 5},
            {"replicas", 4},
            {"readyReplicas", 3},
            {"routableReplicas", 3},
            {"updatedReplicas", 1},
            {"rollout", {{"revisionNumber", 3}, {"paused", true}, {"canary", {{"phase", "Running"}, {"groups", 1}}}}},
            {"autoscaling", {{"desiredReplicas", 6}, {"candidateReplicas", 9}, {"inputs", {{"silentGroups", 1}}}}},
            {"experts",
             {{"placementNumber", 4},
              {"imbalanceBefore", "1.412"},
              {"imbalanceAfter", "1.050"},
              {"bytesMoved", 4096},
              {"placementsReverted", 2},
              {"lastSuccessTime", "2026-01-02T03:04:05Z"}}}};
  status["cost"] = {{"since", "2026-01-02T03:00:00Z"}, {"asOf", "2026-01-02T04:00:00Z"}, {"groups", 2},
                    {"pricePerReplicaHour", "2.5"},    {"replicaHours", "1.5"},          {"total", "4"}};
  status["conditions"] = {condition("Ready", "False"), condition("Available", "True"),
                          condition("ExpertsBalanced", "Unknown")};
  status["groups"] = {{{"name", "chat-a-0"}, {"state", "Routable"}, {"zone", "a"}},
                      {{"name", "chat-a-1"}, {"state", "Routable"}, {"zone", "a"}},
                      {{"name", "chat-a-2"}, {"state", "Loading"}}};
  return object;
}

FleetView everything() {
  FleetView fleet = view_of(chat());
  fleet.zones["a"].state = ZoneState::kSuspect;
  fleet.watches.push_back({"Pod", "ml", true, std::chrono::duration<double>(2.5), 3, 1});
  fleet.now = *kube::parse_timestamp("2026-01-02T06:00:00Z");
  fleet.usage[{"ml", "chat"}] = {500'000, 4};
  return fleet;
}

TEST(OperatorMetrics, SayWhatStatusSaysOfADeployment) {
  const std::string text = text_of(everything());
  const std::string labels = R"({namespace="ml",deployment="chat")";
  for (const std::string& line :
       {"millrace_deployment_replicas_desired" + labels + "} 6",
        "millrace_deployment_replicas" + labels + "} 4",
        "millrace_deployment_replicas_routable" + labels + "} 3",
        "millrace_deployment_generation_lag" + labels + "} 2",
        "millrace_deployment_groups" + labels + R"(,state="Routable",zone="a"} 2)",
        "millrace_deployment_groups" + labels + R"(,state="Loading",zone=""} 1)",
        "millrace_deployment_condition" + labels + R"(,type="Ready"} 0)",
        "millrace_deployment_condition" + labels + R"(,type="Available"} 1)",
        "millrace_deployment_condition" + labels + R"(,type="ExpertsBalanced"} -1)",
        "millrace_deployment_rollout_paused" + labels + "} 1",
        "millrace_deployment_canary_groups" + labels + "} 1",
        "millrace_deployment_autoscale_replicas_maximum" + labels + "} 8",
        "millrace_deployment_expert_imbalance_after" + labels + "} 1.05",
        "millrace_deployment_expert_bytes_moved_total" + labels + "} 4096",
        "millrace_deployment_replica_hours_total" + labels + "} 5.5",
        "millrace_deployment_cost_total" + labels + "} 14",
        "millrace_deployment_cost_per_hour" + labels + "} 5",
        "millrace_deployment_generated_tokens_total" + labels + "} 500000",
        "millrace_deployment_cost_per_million_tokens" + labels + "} 20",
        std::string(R"(millrace_zone_state{zone="a",state="Suspect"} 1)"),
        std::string(R"(millrace_zone_state{zone="a",state="Healthy"} 0)"),
        std::string(R"(millrace_watch_silence_seconds{kind="Pod",watched_namespace="ml"} 2.5)")}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(OperatorMetrics, AreSilentOnWhatADeploymentDoesNotHave) {
  const std::string text = text_of(view_of({{"metadata", {{"name", "new"}, {"namespace", "ml"}, {"generation", 1}}}}));
  EXPECT_THAT(text, HasSubstr(R"(millrace_deployment_replicas_desired{namespace="ml",deployment="new"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(millrace_deployment_generation_lag{namespace="ml",deployment="new"} 1)"));
  EXPECT_THAT(text, Not(HasSubstr("autoscale")));
  EXPECT_THAT(text, Not(HasSubstr("expert")));
  EXPECT_THAT(text, Not(HasSubstr("cost")));
}

TEST(OperatorMetrics, TellOfDeploymentsWhereTheOperatorLeads) {
  local::MemoryCluster cluster;
  kube::Object object(kube::kModelDeployment, {"ml", "chat"});
  object.json()["spec"] = chat()["spec"];
  cluster.create(kube::kModelDeployment, object);
  HttpAgentClients agents;
  Controller controller(cluster, agents.all(), {});
  for (const auto& informer : controller.informers()) ASSERT_TRUE(informer->wait_synced(std::chrono::seconds(60)));
  OperatorMetrics metrics(3, "1.2");
  const std::string leader = metrics.render(controller, true, "lease").body;
  const std::string standby = metrics.render(controller, false, "lease").body;
  EXPECT_THAT(leader, HasSubstr(R"(millrace_deployment_replicas_desired{namespace="ml",deployment="chat"} 2)"));
  EXPECT_THAT(leader, HasSubstr(R"(leader_election_master_status{name="lease"} 1)"));
  EXPECT_THAT(standby, Not(HasSubstr("millrace_deployment_")));
  EXPECT_THAT(standby, HasSubstr(R"(leader_election_master_status{name="lease"} 0)"));
  for (const std::string& text : {leader, standby}) {
    EXPECT_THAT(text, HasSubstr(R"(millrace_operator_build_info{version="1.2"} 1)"));
    EXPECT_THAT(text, HasSubstr(R"(millrace_watch_synced{kind="ModelDeployment",watched_namespace=""} 1)"));
  }
}

TEST(OperatorMetrics, AreAllListedInTheDocs) {
  local::MemoryCluster cluster;
  HttpAgentClients agents;
  Controller controller(cluster, agents.all(), {});
  OperatorMetrics metrics(1, "1");
  metrics.request_done("GET", "host", 200, std::chrono::seconds(1));
  metrics.started();
  metrics.finished("success", std::chrono::seconds(1));
  const std::string served = metrics.render(controller, true, "lease").body + text_of(everything());
  std::ifstream file(MILLRACE_SOURCE_DIR "/docs/operator-metrics.md");
  const std::string docs{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(matches(docs, R"(^\| `([a-z_:]+)` \|)"), matches(served, R"(^# TYPE ([a-z_:]+) )"));
}

}  // namespace
}  // namespace millrace::controller
