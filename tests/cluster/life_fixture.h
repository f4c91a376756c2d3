// The operator's program, a real API server, and nodes and agents that are played: shared by the tests of a
// deployment's life, which run one after the other.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "operator/api/labels.h"
#include "operator/kube/kubeconfig.h"
#include "tests/cluster/audit.h"
#include "tests/cluster/operator_process.h"
#include "tests/cluster/played_nodes.h"

namespace millrace::testing {

// All members are public and static, so that functions beside the tests use them, too. One fixture for all files: every
// suite would start servers of its own.
class Life : public SharedControlPlane {
 public:
  using SharedControlPlane::cluster;
  using Json = controller::kube::Json;
  using Object = controller::kube::Object;

  static void SetUpTestSuite() {
    SharedControlPlane::SetUpTestSuite();
    if (!ControlPlane::unavailable().empty() || find_program("helm").empty()) return;
    controllers_ = cluster().start_controllers();
    client_ = controller::kube::connect(controller::kube::load_kubeconfig(cluster().kubeconfig()), {});
    nodes_ = std::make_unique<PlayedNodes>(*client_);
    operator_ = std::make_unique<OperatorProcess>(cluster());
  }

  static void TearDownTestSuite() {
    operator_.reset();
    nodes_.reset();
    client_.reset();
    SharedControlPlane::TearDownTestSuite();
  }

  void SetUp() override {
    SharedControlPlane::SetUp();
    if (find_program("helm").empty()) GTEST_SKIP() << "helm is absent: run scripts/cluster-tools.sh";
  }

  void TearDown() override {
    if (operator_ == nullptr) return;
    if (HasFailure()) std::cerr << operator_->log();
    for (const Object& deployment : client_->list(controller::kube::kModelDeployment, {}).items) {
      client_->remove(controller::kube::kModelDeployment, deployment.key());
    }
    for (const Object& pod :
         client_->list(controller::kube::kPod, {.label_selector = controller::kDeploymentLabel}).items) {
      client_->remove(controller::kube::kPod, pod.key());
    }
    EXPECT_TRUE(eventually([] { return client_->list(controller::kube::kPod, {}).items.empty(); }));
  }

  static controller::kube::ObjectKey key(const std::string& name) { return {"default", name}; }

  // As `kubectl apply` of a file would.
  static Object apply(const std::string& name, const Json& spec) {
    Object object(controller::kube::kModelDeployment, key(name));
    object.json()["spec"] = spec;
    object.json()["spec"]["model"]["name"] = "m";
    object.json()["spec"]["model"]["source"] = "file:///models/m";
    return client_->apply(controller::kube::kModelDeployment, object, {.field_manager = "user"});
  }

  static Object get(const std::string& name) { return *client_->get(controller::kube::kModelDeployment, key(name)); }

  static Json condition(const std::string& name, const std::string& type) {
    const Object object = get(name);
    for (const Json& condition : object.at("/status/conditions")) {
      if (condition.value("type", "") == type) return condition;
    }
    return Json::object();
  }

  static bool is_ready(const std::string& name) {
    const Object object = get(name);
    return object.int_at("/status/observedGeneration") == object.generation() &&
           condition(name, "Ready").value("status", "") == "True";
  }

  static std::vector<Object> pods(const std::string& name) {
    return client_->list(controller::kube::kPod, {.label_selector = controller::kDeploymentLabel + ("=" + name)}).items;
  }

  static std::set<std::string> revisions(const std::string& name) {
    std::set<std::string> result;
    for (const Object& pod : pods(name)) result.insert(pod.label(controller::kRevisionLabel).value_or(""));
    return result;
  }

  // Every leader has been asked for its status `rounds` more times; where nothing happens that takes 5 s each.
  static bool probed(std::int64_t rounds) {
    std::map<std::string, std::int64_t> until;
    for (const auto& [pod, agent] : nodes_->agents()) {
      if (pod.ends_with("-0")) until[pod] = agent->asked() + rounds;
    }
    return eventually([&] {
      const auto agents = nodes_->agents();
      return std::all_of(until.begin(), until.end(), [&](const auto& item) {
        const auto agent = agents.find(item.first);
        return agent == agents.end() || agent->second->asked() >= item.second;
      });
    });
  }

  // The operator has looked at everything again, `rounds` times, because somebody touched the deployment.
  static bool looked_again(const std::string& name, int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const double before = operator_->metric("controller_runtime_reconcile_total");
      const Json touch = {{"metadata", {{"annotations", {{"example.com/touched", std::to_string(++touches_)}}}}}};
      client_->patch(controller::kube::kModelDeployment, key(name), touch);
      if (!eventually([&] { return operator_->metric("controller_runtime_reconcile_total") > before; })) return false;
    }
    return true;
  }

  // What the operator wrote since, but for its lease, which says every two seconds who leads.
  static std::vector<std::string> writes_since(std::size_t mark) {
    std::vector<std::string> writes;
    for (const AuditedWrite& write : audited_writes(cluster().audit_log(), OperatorProcess::kUser, mark)) {
      if (write.resource != "leases") writes.push_back(to_string(write));
    }
    return writes;
  }

  static inline int touches_ = 0;
  static inline bool controllers_ = false;
  static inline std::unique_ptr<controller::kube::Client> client_;
  static inline std::unique_ptr<PlayedNodes> nodes_;
  static inline std::unique_ptr<OperatorProcess> operator_;
};

}  // namespace millrace::testing
