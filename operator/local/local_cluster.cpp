#include "operator/local/local_cluster.h"

#include <algorithm>

#include "operator/api/labels.h"

namespace millrace::controller::local {
namespace {

using kube::Json;

constexpr const char* kLocalImage = "local";  // no image is fetched; it only has to be named

bool is_ready(const kube::Object& pod) {
  const Json& conditions = pod.at("/status/conditions");
  return !pod.is_deleted() && std::any_of(conditions.begin(), conditions.end(), [](const Json& condition) {
    return condition.value("type", "") == "Ready" && condition.value("status", "") == "True";
  });
}

std::uint16_t port_named(const kube::Object& pod, const std::string& name) {
  for (const Json& port : pod.at("/spec/containers/0/ports")) {
    if (port.value("name", "") == name) return port.value("containerPort", std::uint16_t{0});
  }
  return 0;
}

}  // namespace

LocalCluster::LocalCluster(LocalClusterOptions options) : work_folder_(options.node.work_folder) {
  node_ = std::make_unique<LocalNode>(cluster_, options.node, options.zones);
  scheduler_ = std::make_unique<Scheduler>(cluster_);
  ControllerOptions controller;
  controller.workers = options.workers;
  controller.reconciler.agent_image = kLocalImage;
  controller.queue_observer = options.queue_observer;
  controller.observer = options.observer;
  controller_ = std::make_unique<Controller>(cluster_, agents_.all(), controller);
  controller_->start();
}

LocalCluster::~LocalCluster() {
  stop_.request_stop();
  forwarders_.clear();
  controller_.reset();  // first, so that nothing is made anew while the node ends
  scheduler_.reset();
  node_.reset();
}

std::uint16_t LocalCluster::expose(const kube::ObjectKey& deployment, const std::string& address, std::uint16_t port) {
  forwarders_.push_back(
      std::make_unique<Forwarder>(address, port, [this, deployment] { return backends(deployment); }));
  return forwarders_.back()->port();
}

// What a Service does: the ready pods that its selector names.
std::vector<Backend> LocalCluster::backends(const kube::ObjectKey& key) {
  const auto service = cluster_.get(kube::kService, key);
  if (!service) return {};
  kube::ListOptions options;
  options.ns = key.ns;
  for (const auto& item : service->at("/spec/selector").items()) {
    options.label_selector += item.key() + "=" + item.value().get<std::string>() + ",";
  }
  std::vector<Backend> result;
  for (const kube::Object& pod : cluster_.list(kube::kPod, options).items) {
    if (!is_ready(pod)) continue;
    result.push_back({pod.string_at("/status/podIP"), port_named(pod, service->string_at("/spec/ports/0/targetPort"))});
  }
  return result;
}

}  // namespace millrace::controller::local
