#include "cli/up_progress.h"

#include <cstdio>
#include <set>

#include "cli/table.h"
#include "operator/api/labels.h"

namespace millrace::cli {
namespace {

namespace kube = controller::kube;
using kube::Json;

std::string condition_field(const kube::Object& object, const std::string& type, const char* field) {
  for (const Json& condition : object.at("/status/conditions")) {
    if (condition.value("type", "") == type) return condition.value(field, "");
  }
  return "";
}

std::string number_at(const kube::Object& object, const char* pointer) {
  return std::to_string(object.int_at(pointer).value_or(0));
}

Row pod_row(const kube::Object& pod) {
  const kube::Object container(pod.at("/status/containerStatuses/0"));
  std::string state = pod.string_at("/status/phase");
  const std::string waiting = container.string_at("/state/waiting/reason");
  if (!waiting.empty()) state = waiting;
  if (pod.is_deleted()) state = "Terminating";
  return {"pod/" + pod.name(),
          condition_field(pod, "Ready", "status") == "True" ? "1/1" : "0/1",
          condition_field(pod, controller::kRoutableGate, "status") == "True" ? "True" : "False",
          state,
          number_at(container, "/restartCount"),
          pod.string_at("/status/podIP"),
          pod.string_at("/spec/nodeName"),
          pod.label(controller::kZoneLabel).value_or("-")};
}

}  // namespace

UpState state_of(const kube::Object& deployment) {
  const auto observed = deployment.int_at("/status/observedGeneration");
  if (!observed || *observed != deployment.generation()) return UpState::kStarting;
  if (condition_field(deployment, "Ready", "status") == "True") return UpState::kReady;
  // No node is ever added to this machine.
  if (condition_field(deployment, "Ready", "reason") == "Unschedulable") return UpState::kStalled;
  return condition_field(deployment, "Stalled", "status") == "True" ? UpState::kStalled : UpState::kStarting;
}

std::string cause_of(const kube::Object& deployment) {
  return condition_field(deployment, "Ready", "reason") + ": " + condition_field(deployment, "Ready", "message");
}

std::string phase_of(const kube::Object& deployment) {
  static const std::set<std::string> kLoading{"Loading", "Routing", "EngineFailed"};
  if (state_of(deployment) == UpState::kReady) return "ready";
  return kLoading.contains(condition_field(deployment, "Ready", "reason")) ? "load" : "schedule";
}

void UpProgress::say(const std::string& phase, const std::string& text) {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin_;
  std::fprintf(stderr, "%6.1f s  %-9s %s\n", elapsed.count(), phase.c_str(), text.c_str());
}

void UpProgress::show(const kube::Object& deployment) {
  const std::string message = condition_field(deployment, "Ready", "message");
  if (message.empty() || shown_[deployment.name()] == message) return;
  shown_[deployment.name()] = message;
  say(phase_of(deployment), message);
}

std::string format_cluster(kube::Client& client) {
  std::vector<Row> deployments{{"NAME", "READY", "DESIRED", "ROUTABLE", "REVISION", "REASON", "ENDPOINT"}};
  for (const kube::Object& object : client.list(kube::kModelDeployment, {}).items) {
    deployments.push_back({"md/" + object.name(), condition_field(object, "Ready", "status"),
                           std::to_string(object.int_at("/spec/replicas").value_or(1)),
                           number_at(object, "/status/routableReplicas"), object.string_at("/status/currentRevision"),
                           condition_field(object, "Ready", "reason"), object.string_at("/status/endpoint")});
  }
  std::vector<Row> pods{{"NAME", "READY", "ROUTABLE", "STATUS", "RESTARTS", "IP", "NODE", "ZONE"}};
  for (const kube::Object& pod : client.list(kube::kPod, {}).items) pods.push_back(pod_row(pod));
  return format_table(deployments) + "\n" + format_table(pods);
}

}  // namespace millrace::cli
