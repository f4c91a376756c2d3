// A cluster in memory, a clock that only moves when told, a kubelet and agents that the test plays, and a reconciler
// that reads the cluster itself. Everything happens on the test's thread, step by step.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/log.h"
#include "operator/api/labels.h"
#include "operator/kube/timestamp.h"
#include "operator/local/memory_cluster.h"
#include "operator/plan/membership.h"
#include "operator/reconcile/reconciler.h"
#include "operator/resources/verifier_pod.h"

namespace millrace::controller::testing {

// Passes everything on; counts it, and can break at the n-th write.
class CountingClient final : public kube::Client {
 private:
  template <typename Write>
  auto write(Write&& action) {
    const bool breaks = writes++ == break_at;
    const kube::ApiError lost(common::Code::kUnavailable, 0, "", "the connection broke");
    if (breaks && !after) throw lost;
    auto result = action();
    if (breaks) throw lost;
    return result;
  }

 public:
  explicit CountingClient(kube::Client& inner) : inner_(inner) {}

  int writes = 0;
  int lists = 0;
  int gets = 0;
  bool refuse_lists = false;
  bool lose_lists = false;             // as if the server could not be reached
  bool forbid_secret_patches = false;  // as the chart's default roles do
  int break_at = -1;                   // this write throws instead; with `after`, it happens and then throws
  bool after = false;

  std::optional<kube::Object> get(const kube::ResourceKind& kind, const kube::ObjectKey& key) override {
    ++gets;
    return inner_.get(kind, key);
  }
  kube::ListResult list(const kube::ResourceKind& kind, const kube::ListOptions& options) override {
    ++lists;
    if (refuse_lists) throw kube::ApiError(common::Code::kUnavailable, 503, "", "the server is away");
    if (lose_lists) throw kube::ApiError(common::Code::kDeadlineExceeded, 0, "", "no answer in time");
    return inner_.list(kind, options);
  }
  kube::Object create(const kube::ResourceKind& kind, const kube::Object& object) override {
    return write([&] { return inner_.create(kind, object); });
  }
  using Client::apply;
  kube::Object apply(const kube::ResourceKind& kind, const kube::Object& object,
                     const kube::ApplyOptions& options) override {
    return write([&] { return inner_.apply(kind, object, options); });
  }
  using Client::patch;
  kube::Object patch(const kube::ResourceKind& kind, const kube::ObjectKey& key, const kube::Json& merge_patch,
                     const kube::PatchOptions& options) override {
    if (forbid_secret_patches && kind == kube::kSecret) {
      throw kube::ApiError(common::Code::kPermissionDenied, 403, "Forbidden", "may not patch secrets");
    }
    return write([&] { return inner_.patch(kind, key, merge_patch, options); });
  }
  using Client::remove;
  bool remove(const kube::ResourceKind& kind, const kube::ObjectKey& key, const kube::RemoveOptions& options) override {
    return write([&] { return inner_.remove(kind, key, options); });
  }
  kube::WatchOutcome watch(const kube::ResourceKind& kind, const kube::WatchOptions& options,
                           const kube::WatchHandler& handler, std::stop_token stop) override {
    return inner_.watch(kind, options, handler, stop);
  }
  kube::Eviction evict(const kube::ObjectKey& pod, std::optional<std::int64_t> grace_period) override {
    return inner_.evict(pod, grace_period);
  }

 private:
  kube::Client& inner_;
};

// Evidence as the test says it is; remembers what it was told to watch.
class FakeProbe final : public AgentProbe {
 public:
  void watch(const kube::ObjectKey& deployment, std::vector<ProbeGroup> groups) override {
    watched[deployment] = std::move(groups);
  }
  std::optional<AgentEvidence> evidence(const std::string& pod_uid) const override {
    const auto found = known.find(pod_uid);
    return found == known.end() ? std::nullopt : std::optional(found->second);
  }
  bool is_draining(const std::string& group) const {
    for (const auto& [key, groups] : watched) {
      for (const ProbeGroup& watched_group : groups) {
        if (watched_group.shape.name == group && watched_group.drain) return true;
      }
    }
    return false;
  }

  std::map<kube::ObjectKey, std::vector<ProbeGroup>> watched;
  std::map<std::string, AgentEvidence> known;  // by pod uid
};

class World {
  GoldenExaminer* const examiner_;  // first: the reconciler takes it

 public:
  // `examiner` is borrowed and may be null.
  explicit World(GoldenExaminer* examiner = nullptr) : examiner_(examiner) {
    common::configure_log(common::LogFormat::kText, common::LogLevel::kError);
    for (const char* zone : {"a", "b", "c"}) {
      kube::Object node(kube::kNode, {"", std::string("node-") + zone});
      node.json()["metadata"]["labels"][kTopologyZone] = zone;
      node.json()["status"] = {{"allocatable", {{"cpu", "64"}, {"memory", "256Gi"}}},
                               {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}};
      cluster.create(kube::kNode, node);
    }
  }

  const kube::ObjectKey key{"default", "m"};

  void apply(const Json& spec) {
    kube::Object object(kube::kModelDeployment, key);
    object.json()["spec"] = spec;
    object.json()["spec"]["model"]["source"] = spec.value("/model/source"_json_pointer, "file:///models/m");
    kube::ApplyOptions options;
    options.field_manager = "user";
    cluster.apply(kube::kModelDeployment, object, options);
  }

  Result reconcile() { return reconciler.reconcile(key); }

  // A new operator process: nothing is remembered.
  void restart_operator() {
    probe.known.clear();
    probe.watched.clear();
  }

  // A pod that reads the model of a new revision.
  static bool verifies(const kube::Object& pod) { return pod.label(kVerifiesLabel).has_value(); }
  // Of groups.
  std::vector<kube::Object> pods() {
    return pods_that([](const kube::Object& pod) { return !verifies(pod); });
  }
  std::vector<kube::Object> verifiers() { return pods_that(verifies); }
  kube::Object deployment() { return *cluster.get(kube::kModelDeployment, key); }
  std::string condition(const std::string& type) {
    const kube::Object object = deployment();
    for (const Json& condition : object.at("/status/conditions")) {
      if (condition["type"] == type) return condition["status"];
    }
    return "";
  }
  int routable() {
    int count = 0;
    for (const kube::Object& pod : pods()) count += is_routable(pod) ? 1 : 0;
    return count;
  }
  static bool is_routable(const kube::Object& pod) {
    for (const Json& condition : pod.at("/status/conditions")) {
      if (condition["type"] == kRoutableGate) return condition["status"] == "True";
    }
    return false;
  }

  static bool passes_gates(const kube::Object& pod) {
    return pod.at("/spec/readinessGates").is_null() || is_routable(pod);
  }

  void cordon(const std::string& zone, bool on = true) {
    cluster.patch(kube::kNode, {"", "node-" + zone}, {{"spec", {{"unschedulable", on ? Json(true) : Json()}}}});
  }
  void taint(const std::string& zone, const std::string& key) {
    cluster.patch(kube::kNode, {"", "node-" + zone},
                  {{"spec", {{"taints", {{{"key", key}, {"effect", "NoSchedule"}}}}}}});
  }
  std::vector<kube::Object> pods_on(const std::string& node) {
    std::vector<kube::Object> result;
    for (kube::Object& pod : pods()) {
      if (pod.string_at("/spec/nodeName") == node) result.push_back(std::move(pod));
    }
    return result;
  }

  // The scheduler: the node of the pod's zone (node-a for pods of no zone), if it takes pods and is not to be avoided.
  std::string node_for(const kube::Object& pod) {
    const std::string name = "node-" + pod.label(kZoneLabel).value_or("a");
    const auto node = cluster.get(kube::kNode, {"", name});
    const bool avoided = pod.at("/spec/affinity").dump().find('"' + name + '"') != std::string::npos;
    return node->bool_at("/spec/unschedulable") || node->at("/spec/taints").is_array() || avoided ? "" : name;
  }

  // The kubelet of pods that verify a model: they fail again and again while there is a fault, else succeed.
  void run_verifiers() {
    for (const kube::Object& pod : verifiers()) {
      if (pod.is_deleted()) {
        kube::RemoveOptions options;
        options.grace_period = 0;
        cluster.remove(kube::kPod, pod.key(), options);
        continue;
      }
      kube::Object report(kube::kPod, pod.key());
      report.json()["status"] = {{"phase", model_fault.empty() ? "Succeeded" : "Running"}};
      if (!model_fault.empty()) {
        const Json agent = {{"name", "agent"},
                            {"restartCount", 1},
                            {"state", {{"waiting", {{"reason", "CrashLoopBackOff"}, {"message", "back-off"}}}}},
                            {"lastState", {{"terminated", {{"message", model_fault}}}}}};
        report.json()["status"]["containerStatuses"] = Json::array({agent});
      }
      kube::ApplyOptions options;
      options.subresource = "status";
      options.field_manager = "kubelet";
      cluster.apply(kube::kPod, report, options);
    }
  }

  // The kubelet: pods get a node, an address and ready containers, and are Ready when their gate is open; deleted ones
  // go.
  void run_pods() {
    run_verifiers();
    for (const kube::Object& pod : pods()) {
      if (pod.is_deleted()) {
        kube::RemoveOptions options;
        options.grace_period = 0;
        cluster.remove(kube::kPod, pod.key(), options);
        continue;
      }
      std::string ip = pod.string_at("/status/podIP");
      if (ip.empty()) {
        const std::string node = node_for(pod);
        if (node.empty()) {
          wait_for_node(pod);
          continue;
        }
        cluster.patch(kube::kPod, pod.key(), {{"spec", {{"nodeName", node}}}});
        ip = "10.0.0." + std::to_string(next_ip_++);
      }
      kube::Object report(kube::kPod, pod.key());
      report.json()["status"] = {{"phase", "Running"},
                                 {"podIP", ip},
                                 {"conditions",
                                  {{{"type", "ContainersReady"}, {"status", "True"}},
                                   {{"type", "Ready"},
                                    {"status", passes_gates(pod) ? "True" : "False"},
                                    {"reason", passes_gates(pod) ? "" : "ReadinessGatesNotReady"},
                                    {"message", ""}}}}};
      kube::ApplyOptions options;
      options.subresource = "status";
      options.field_manager = "kubelet";
      cluster.apply(kube::kPod, report, options);
    }
  }

  // The agents: those of running pods serve, or drain when told to.
  void run_agents() {
    for (const kube::Object& pod : pods()) {
      if (pod.string_at("/status/podIP").empty()) continue;
      AgentEvidence& evidence = probe.known[pod.uid()];
      evidence.answered = true;
      const bool drains = probe.is_draining(pod.label(kGroupLabel).value_or(""));
      evidence.status.phase = drains ? common::AgentPhase::kDraining : common::AgentPhase::kServing;
      if (!work) continue;
      const auto& before = evidence.status.load;
      const auto load = before ? std::make_shared<common::AgentLoad>(*before) : std::make_shared<common::AgentLoad>();
      work(pod, *load);
      evidence.status.load = load;
    }
  }

  // Rounds of everybody until nothing changes, at most `rounds`. False when it still does.
  bool settle(int rounds = 60) {
    for (int i = 0; i < rounds; ++i) {
      const std::uint64_t before = cluster.version();
      const Result result = reconcile();
      run_pods();
      run_agents();
      now += std::chrono::milliseconds(500);
      if (cluster.version() == before && result.again_after.count() == 0) return true;
    }
    return false;
  }

  // What an agent has done since it was last looked at, added to its totals; nothing by default.
  std::function<void(const kube::Object& pod, common::AgentLoad& load)> work;

  std::string model_fault;  // that whoever verifies a model finds

  TimePoint now = *kube::parse_timestamp("2026-01-02T12:00:00Z");
  local::MemoryCluster cluster{[this] { return now; }};
  CountingClient client{cluster};
  LiveReader reader{cluster};
  FakeProbe probe;
  ZoneHealths zones;
  Reconciler reconciler{client, reader, probe, nullptr, options()};

 private:
  std::vector<kube::Object> pods_that(const std::function<bool(const kube::Object&)>& wanted) {
    std::vector<kube::Object> pods = cluster.list(kube::kPod, {}).items;
    std::erase_if(pods, [&](const kube::Object& pod) { return !wanted(pod); });
    return pods;
  }

  ReconcilerOptions options() {
    ReconcilerOptions result;
    result.agent_image = "agent:1";
    result.now = [this] { return now; };
    result.zones = [this] { return zones; };
    result.examiner = examiner_;
    return result;
  }

  void wait_for_node(const kube::Object& pod) {
    kube::Object report(kube::kPod, pod.key());
    report.json()["status"] = {
        {"phase", "Pending"},
        {"conditions", {{{"type", "PodScheduled"}, {"status", "False"}, {"message", "no node takes it"}}}}};
    kube::ApplyOptions options;
    options.subresource = "status";
    options.field_manager = "kubelet";
    cluster.apply(kube::kPod, report, options);
  }

  int next_ip_ = 1;
};

}  // namespace millrace::controller::testing
