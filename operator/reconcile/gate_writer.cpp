#include "operator/reconcile/gate_writer.h"

#include <cassert>

#include "operator/api/labels.h"
#include "operator/kube/timestamp.h"
#include "operator/plan/routing.h"

namespace millrace::controller {
namespace {

// Each of these always applies the same fields, so that none takes away what another one said.
constexpr const char* kRoutingManager = "millrace-operator/routing";
constexpr const char* kForKubeletManager = "millrace-operator/routing-for-kubelet";

}  // namespace

std::vector<std::exception_ptr> GateWriter::write(const kube::ObjectKey& deployment, const std::vector<SetGate>& gates,
                                                  const Observed& observed) {
  SaidOfPods said = recall(deployment, observed);
  std::vector<kube::ApplyRequest> requests;
  std::vector<Said> saying;
  for (const SetGate& gate : gates) {
    const PodView* pod = observed.find_pod(gate.name);
    assert(pod != nullptr);
    const auto before = said.find(gate.name);
    if (before != said.end() && before->second.gate == gate) continue;
    requests.push_back(request(deployment.ns, gate, *pod));
    saying.push_back({pod->version, gate});
  }
  std::vector<std::exception_ptr> errors = client_.apply_each(kube::kPod, requests);
  for (std::size_t i = 0; i < errors.size(); ++i) {
    if (!errors[i]) said[saying[i].gate.name] = saying[i];
  }
  const std::lock_guard lock(mutex_);
  if (said.empty()) {
    said_.erase(deployment);
  } else {
    said_[deployment] = std::move(said);
  }
  return errors;
}

// Of pods that are still observed as they were when it was said.
GateWriter::SaidOfPods GateWriter::recall(const kube::ObjectKey& deployment, const Observed& observed) {
  const std::lock_guard lock(mutex_);
  const auto found = said_.find(deployment);
  if (found == said_.end()) return {};
  SaidOfPods said = found->second;
  std::erase_if(said, [&](const auto& item) {
    const PodView* pod = observed.find_pod(item.first);
    return pod == nullptr || pod->version != item.second.version;
  });
  return said;
}

void GateWriter::forget(const kube::ObjectKey& deployment) {
  const std::lock_guard lock(mutex_);
  said_.erase(deployment);
}

kube::ApplyRequest GateWriter::request(const std::string& ns, const SetGate& gate, const PodView& pod) const {
  kube::Object object(kube::kPod, {ns, gate.name});
  object.json()["metadata"]["uid"] = pod.uid;  // not a later pod of the same name
  const std::string now = kube::format_time(now_());
  Json conditions = Json::array({{{"type", kRoutableGate},
                                  {"status", gate.open ? "True" : "False"},
                                  {"reason", gate.reason},
                                  {"lastTransitionTime", now}}});
  if (gate.for_kubelet) {
    conditions.push_back({{"type", "Ready"},
                          {"status", "False"},
                          {"reason", kForKubeletReason},
                          {"message", kForKubeletMessage},
                          {"lastTransitionTime", now}});
  }
  object.json()["status"]["conditions"] = std::move(conditions);
  kube::ApplyOptions options;
  options.subresource = "status";
  options.field_manager = gate.for_kubelet ? kForKubeletManager : kRoutingManager;
  return {std::move(object), std::move(options)};
}

}  // namespace millrace::controller
