// The whole controller in real time over a cluster in memory, with agents that report a load: from the step of the load
// to the decision and to the new pods. The limits here are generous; the times are printed.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>

#include "common/log.h"
#include "operator/api/labels.h"
#include "operator/local/memory_cluster.h"
#include "operator/reconcile/controller.h"
#include "tests/operator/reconcile/scripted_agents.h"

namespace millrace::controller {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kDeadline{60'000};  // only against hanging

// Agents that share a stream of requests; each serves five a second and the rest waits.
class LoadedAgents final : public testing::ScriptedAgents {
 public:
  using ScriptedAgents::drain;
  using ScriptedAgents::set_group;
  using ScriptedAgents::status;
  common::AgentStatus status(const AgentAddress& agent) override {
    const std::lock_guard lock(mutex_);
    advance();
    Agent& entry = agents_[agent.ip];
    common::AgentStatus status;
    status.phase = entry.generation > 0 ? common::AgentPhase::kServing : common::AgentPhase::kWaitingForGroup;
    status.generation = entry.generation;
    status.leader = true;
    if (entry.generation > 0) {
      const auto load = std::make_shared<common::AgentLoad>();
      load->arrivals = static_cast<std::uint64_t>(entry.arrived);
      load->queue = static_cast<std::int64_t>(entry.queue);
      load->running = 4;
      load->kv_usage = 0.5;
      status.load = load;
    }
    return status;
  }
  void set_group(const AgentAddress& agent, const common::GroupMembership& membership) override {
    const std::lock_guard lock(mutex_);
    agents_[agent.ip].generation = membership.generation;
  }
  void drain(const AgentAddress&) override {}

  void set_rate(double rate) {
    const std::lock_guard lock(mutex_);
    advance();
    rate_ = rate;
  }

 private:
  struct Agent {
    std::int64_t generation = 0;
    double arrived = 0;
    double queue = 0;
  };

  void advance() {
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    for (auto& [ip, agent] : agents_) {
      const double came = rate_ / static_cast<double>(agents_.size()) * seconds;
      agent.arrived += came;
      agent.queue = std::max(0.0, agent.queue + came - 5.0 * seconds);
    }
  }

  std::mutex mutex_;
  std::map<std::string, Agent> agents_;
  double rate_ = 0;
  Clock::time_point last_ = Clock::now();
};

bool is_routed(const kube::Object& pod) {
  const Json& conditions = pod.at("/status/conditions");
  return conditions.is_array() && std::any_of(conditions.begin(), conditions.end(), [](const Json& condition) {
           return condition["type"] == kRoutableGate && condition["status"] == "True";
         });
}

// As a kubelet: gives new pods an address and ready containers, and says Ready when the gate is open.
void run_pods(local::MemoryCluster& cluster, std::map<std::string, std::string>& addresses) {
  for (const kube::Object& pod : cluster.list(kube::kPod, {}).items) {
    const auto address = addresses.try_emplace(pod.name(), "10.0.0." + std::to_string(addresses.size() + 1)).first;
    kube::Object report(kube::kPod, pod.key());
    report.json()["status"] = {{"phase", "Running"},
                               {"podIP", address->second},
                               {"conditions",
                                {{{"type", "ContainersReady"}, {"status", "True"}},
                                 {{"type", "Ready"}, {"status", is_routed(pod) ? "True" : "False"}}}}};
    kube::ApplyOptions options;
    options.subresource = "status";
    options.field_manager = "kubelet";
    cluster.apply(kube::kPod, report, options);
  }
}

TEST(AutoscalingLive, AFourfoldStepLeadsToADecisionAndToNewPods) {
  common::configure_log(common::LogFormat::kText, common::LogLevel::kError);
  local::MemoryCluster cluster;
  LoadedAgents agents;
  ControllerOptions options;
  options.workers = 2;
  options.reconciler.agent_image = "agent:1";
  HttpAgentClients others;
  Controller controller(cluster, {agents, others.experts, others.prompts}, options);
  controller.start();

  const kube::ObjectKey key{"default", "m"};
  kube::Object deployment(kube::kModelDeployment, key);
  deployment.json()["spec"] = {
      {"replicas", 1}, {"model", {{"source", "file:///models/m"}}}, {"autoscaling", {{"maxReplicas", 4}}}};
  cluster.create(kube::kModelDeployment, deployment);

  std::map<std::string, std::string> addresses;
  const auto wait_for = [&](const char* what, auto&& holds) {
    const auto deadline = Clock::now() + kDeadline;
    while (!holds()) {
      if (Clock::now() > deadline) {
        ADD_FAILURE() << "never came: " << what;
        return false;
      }
      run_pods(cluster, addresses);
      std::this_thread::sleep_for(milliseconds(5));  // between two looks at the condition
    }
    return true;
  };
  const auto status = [&] {
    const kube::Object object = *cluster.get(kube::kModelDeployment, key);
    return object.at("/status").is_object() ? object.at("/status") : Json::object();
  };
  const auto serves = [&] { return status().value("routableReplicas", 0) == 1; };

  agents.set_rate(4);
  ASSERT_TRUE(wait_for("the first group", serves));
  ASSERT_TRUE(wait_for("the first decision", [&] { return status().contains("/autoscaling/decidedAt"_json_pointer); }));

  const auto step = Clock::now();
  agents.set_rate(16);
  const auto since_step = [&] { return std::chrono::duration_cast<milliseconds>(Clock::now() - step).count(); };
  ASSERT_TRUE(wait_for("new pods", [&] { return cluster.list(kube::kPod, {}).items.size() > 1; }));
  const auto pods_after = since_step();
  ASSERT_TRUE(wait_for("the decision in status",
                       [&] { return status().value("/autoscaling/desiredReplicas"_json_pointer, 0) > 1; }));
  std::printf("new pods %d ms after the step, decision in status after %d ms\n", static_cast<int>(pods_after),
              static_cast<int>(since_step()));
  EXPECT_EQ(status()["autoscaling"]["reason"], "Queue");
  controller.stop();
}

}  // namespace
}  // namespace millrace::controller
