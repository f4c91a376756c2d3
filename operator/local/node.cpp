#include "operator/local/node.h"

#include <unistd.h>

#include <thread>

#include "common/agent_config.h"
#include "common/error.h"
#include "common/log.h"
#include "operator/api/labels.h"

namespace millrace::controller::local {
namespace {

using kube::Json;

std::vector<std::uint16_t> ports_of(const kube::Object& pod) {
  std::vector<std::uint16_t> ports;
  for (const Json& port : pod.at("/spec/containers/0/ports")) {
    if (port.contains("containerPort")) ports.push_back(port["containerPort"].get<std::uint16_t>());
  }
  return ports;
}

std::string memory_of_machine() {
  const auto bytes = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  return std::to_string(bytes / 1024) + "Ki";
}

}  // namespace

std::vector<kube::Object> make_nodes(const std::vector<std::string>& zones) {
  std::vector<kube::Object> nodes;
  for (const std::string& zone : zones) {
    kube::Object node(kube::kNode, {"", "local-" + zone});
    node.json()["metadata"]["labels"] = {{kTopologyZone, zone}, {kHostname, node.name()}};
    node.json()["status"] = {{"allocatable",
                              {{"cpu", std::to_string(std::thread::hardware_concurrency())},
                               {"memory", memory_of_machine()},
                               {"pods", "110"}}},
                             {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}};
    nodes.push_back(std::move(node));
  }
  return nodes;
}

LocalNode::LocalNode(kube::Client& client, NodeOptions options, const std::vector<std::string>& zones)
    : client_(client), options_(std::move(options)) {
  for (const kube::Object& node : make_nodes(zones)) client_.create(kube::kNode, node);
  pods_ = std::make_unique<kube::Informer>(client_, kube::InformerOptions{kube::kPod, "", "", {}, 3},
                                           [this](const kube::Change& change) { on_change(change); });
}

LocalNode::~LocalNode() {
  pods_->stop();
  for (auto& [uid, runner] : runners_) runner->stop();  // all at once; then wait for each
}

std::size_t LocalNode::running() const {
  const std::lock_guard lock(mutex_);
  return runners_.size();
}

void LocalNode::on_change(const kube::Change& change) {
  const std::lock_guard lock(mutex_);
  forget_finished();
  const kube::Object& pod = change.object();
  const auto runner = runners_.find(pod.uid());
  if (change.type == kube::Change::Type::kDeleted) {
    if (runner != runners_.end()) runner->second->pod_is_gone();
  } else if (runner != runners_.end()) {
    runner->second->update(pod);
  } else if (!pod.string_at("/spec/nodeName").empty()) {
    start_pod(pod);
  }
}

void LocalNode::start_pod(const kube::Object& pod) {
  try {
    runners_[pod.uid()] = std::make_unique<PodRunner>(client_, options_, pod, addresses_.take(ports_of(pod)));
  } catch (const common::Error& error) {
    common::log_error("pod cannot be started", {{"pod", pod.name()}, {"error", error.what()}});
  }
}

void LocalNode::forget_finished() {
  std::erase_if(runners_, [&](const auto& item) {
    if (!item.second->finished()) return false;
    addresses_.give_back(item.second->ip());
    return true;
  });
}

}  // namespace millrace::controller::local
