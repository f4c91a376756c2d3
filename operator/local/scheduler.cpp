#include "operator/local/scheduler.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "common/error.h"
#include "common/log.h"
#include "operator/api/labels.h"
#include "operator/api/quantity.h"
#include "operator/kube/timestamp.h"

namespace millrace::controller::local {
namespace {

using kube::Json;
using kube::Object;
using Amounts = std::map<std::string, double>;

Amounts requests_of(const Object& pod) {
  Amounts amounts;
  for (const Json& json : pod.at("/spec/containers")) {
    const Object container(json);
    for (const char* list : {"/resources/limits", "/resources/requests"}) {  // a request overrides its limit
      for (const auto& item : container.at(list).items()) {
        amounts[item.key()] = quantity_of(item.value()).value_or(0);
      }
    }
  }
  return amounts;
}

bool selects(const Object& pod, const Object& node) {
  const auto labels = node.labels();
  for (const auto& item : pod.at("/spec/nodeSelector").items()) {
    const auto label = labels.find(item.key());
    if (label == labels.end() || label->second != item.value()) return false;
  }
  return !node.bool_at("/spec/unschedulable");
}

// The resource of which the node has too little left; empty: it fits.
std::string missing_resource(const Object& node, const Amounts& needs, const Amounts& used) {
  for (const auto& [resource, need] : needs) {
    const auto taken = used.find(resource);
    const Json& allocatable = node.at("/status/allocatable");
    const double has = allocatable.contains(resource) ? quantity_of(allocatable[resource]).value_or(0) : 0;
    if (need > has - (taken == used.end() ? 0 : taken->second) + 1e-9) return resource;
  }
  return "";
}

}  // namespace

SchedulingVerdict choose_node(const Object& pod, const std::vector<Object>& nodes, const std::vector<Object>& pods) {
  std::map<std::string, Amounts> used;
  std::map<std::string, int> count;
  for (const Object& other : pods) {
    const std::string node = other.string_at("/spec/nodeName");
    if (node.empty()) continue;
    ++count[node];
    for (const auto& [resource, amount] : requests_of(other)) used[node][resource] += amount;
  }
  const Amounts needs = requests_of(pod);
  std::map<std::string, int> refusals;
  const Object* best = nullptr;
  for (const Object& node : nodes) {
    if (!selects(pod, node)) {
      ++refusals["node(s) didn't match the pod's node selector"];
    } else if (const std::string resource = missing_resource(node, needs, used[node.name()]); !resource.empty()) {
      ++refusals["Insufficient " + resource];
    } else if (best == nullptr ||
               std::tuple(count[node.name()], node.name()) < std::tuple(count[best->name()], best->name())) {
      best = &node;
    }
  }
  if (best != nullptr) return {best->name(), ""};
  std::string reason = "0/" + std::to_string(nodes.size()) + " nodes are available";
  const char* separator = ": ";
  for (const auto& [refusal, times] : refusals) {
    reason += separator + std::to_string(times) + " " + refusal;
    separator = ", ";
  }
  return {"", reason + "."};
}

Scheduler::Scheduler(kube::Client& client) : client_(client) {
  const auto mark = [this](const kube::Change&) {
    const std::lock_guard lock(mutex_);
    dirty_ = true;
    changed_.notify_all();
  };
  pods_ = std::make_unique<kube::Informer>(client, kube::InformerOptions{kube::kPod, "", "", {}, 1}, mark);
  nodes_ = std::make_unique<kube::Informer>(client, kube::InformerOptions{kube::kNode, "", "", {}, 2}, mark);
  thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
}

Scheduler::~Scheduler() {
  pods_->stop();
  nodes_->stop();
  thread_.request_stop();
}

void Scheduler::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return dirty_; })) return;
      dirty_ = false;
    }
    try {
      schedule_all();
    } catch (const common::Error& error) {
      common::log_warn("scheduling failed", {{"error", error.what()}});
    }
  }
}

void Scheduler::schedule_all() {
  const std::vector<Object> nodes = client_.list(kube::kNode, {}).items;
  std::vector<Object> pods = client_.list(kube::kPod, {}).items;
  for (Object& pod : pods) {
    if (!pod.string_at("/spec/nodeName").empty() || pod.is_deleted()) continue;
    const SchedulingVerdict verdict = choose_node(pod, nodes, pods);
    bind(pod, verdict);
    if (!verdict.node.empty()) pod.json()["spec"]["nodeName"] = verdict.node;  // it takes room from the next one
  }
}

void Scheduler::bind(const Object& pod, const SchedulingVerdict& verdict) {
  const bool bound = !verdict.node.empty();
  Object report(kube::kPod, pod.key());
  Json condition = {{"type", "PodScheduled"}, {"status", bound ? "True" : "False"}};
  if (!bound) {
    condition["reason"] = "Unschedulable";
    condition["message"] = verdict.reason;
  }
  report.json()["status"]["conditions"] = Json::array({condition});
  kube::ApplyOptions options;
  options.subresource = "status";
  options.field_manager = "local-scheduler";
  try {
    if (bound) client_.patch(kube::kPod, pod.key(), {{"spec", {{"nodeName", verdict.node}}}});
    client_.apply(kube::kPod, report, options);
  } catch (const common::Error& error) {
    if (error.code() != common::Code::kNotFound) throw;
  }
}

}  // namespace millrace::controller::local
