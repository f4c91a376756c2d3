#include "tests/cluster/played_nodes.h"

#include <unistd.h>

#include "common/error.h"
#include "operator/api/labels.h"
#include "operator/resources/admin_secret.h"

namespace millrace::testing {
namespace {

namespace kube = controller::kube;
using common::Code;
using common::Error;
using kube::Json;

constexpr kube::ResourceKind kBinding{"", "v1", "bindings", "Binding", true};
constexpr const char* kZones[] = {"a", "b", "c"};
constexpr std::chrono::milliseconds kLookAgain{250};  // for what no event tells: a Secret that appears

std::string condition_status(const kube::Object& object, const std::string& type) {
  for (const Json& condition : object.at("/status/conditions")) {
    if (condition.value("type", "") == type) return condition.value("status", "");
  }
  return "";
}

Json condition(const char* type, bool status) {
  return {{"type", type}, {"status", status ? "True" : "False"}};
}

bool gates_open(const kube::Object& pod) {
  for (const Json& gate : pod.at("/spec/readinessGates")) {
    if (condition_status(pod, gate.value("conditionType", "")) != "True") return false;
  }
  return true;
}

// As the kubelet writes it: its own conditions, those of others stay.
void write_status(kube::Client& client, const kube::Object& pod, const Json& status) {
  kube::Object report(kube::kPod, pod.key());
  report.json()["metadata"]["uid"] = pod.uid();
  report.json()["status"] = status;
  client.apply(kube::kPod, report, {.subresource = "status", .field_manager = "kubelet"});
}

}  // namespace

PlayedNodes::PlayedNodes(kube::Client& client)
    : client_(client),
      network_(64 + static_cast<int>(::getpid() % 150)),
      pods_(client, {.kind = kube::kPod}, [this](const kube::Change&) { wake(); }),
      thread_([this](std::stop_token stop) { run(stop); }) {
  make_nodes();
}

PlayedNodes::~PlayedNodes() {
  thread_.request_stop();
  thread_.join();
  pods_.stop();
}

void PlayedNodes::make_nodes() {
  for (const std::string zone : kZones) {
    const kube::ObjectKey key{"", "node-" + zone};
    kube::Object node(kube::kNode, key);
    node.json()["metadata"]["labels"] = {{controller::kTopologyZone, "zone-" + zone}};
    client_.apply(kube::kNode, node, {.field_manager = "kubelet"});
    const Json room = {{"cpu", "16"}, {"memory", "64Gi"}, {"pods", "110"}};
    client_.patch(
        kube::kNode, key,
        {{"status",
          {{"allocatable", room}, {"capacity", room}, {"conditions", Json::array({condition("Ready", true)})}}}},
        {.subresource = "status"});
    // The API server taints a node that it has not heard of; nobody else would take the taint away.
    client_.patch(kube::kNode, key, {{"spec", {{"taints", nullptr}}}});
  }
}

std::shared_ptr<PlayedAgent> PlayedNodes::agent(const std::string& pod) const {
  const auto all = agents();
  const auto found = all.find(pod);
  return found == all.end() ? nullptr : found->second;
}

std::map<std::string, std::shared_ptr<PlayedAgent>> PlayedNodes::agents() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::shared_ptr<PlayedAgent>> result;
  for (const auto& [name, uid] : uids_) {
    const auto found = running_.find(uid);
    if (found != running_.end()) result[name] = found->second.agent;
  }
  return result;
}

void PlayedNodes::wake() {
  const std::lock_guard lock(mutex_);
  dirty_ = true;
  changed_.notify_all();
}

// Level-based: every look may find any state. A write that comes too late is made again at the next look.
void PlayedNodes::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, stop, kLookAgain, [this] { return dirty_; });
      dirty_ = false;
    }
    ++looks_;
    const std::vector<ObjectPtr> pods = pods_.store().list();
    for (const ObjectPtr& pod : pods) {
      try {
        look_at(*pod);
      } catch (const Error&) {
      }
    }
    forget_absent(pods);
  }
}

void PlayedNodes::look_at(const Object& pod) {
  if (pod.is_deleted()) return end(pod);
  if (pod.string_at("/spec/nodeName").empty()) return bind(pod);
  {
    const std::lock_guard lock(mutex_);
    uids_[pod.name()] = pod.uid();
  }
  const auto now_running = [&]() -> std::optional<Running> {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(pod.uid());
    return found == running_.end() ? std::nullopt : std::optional(found->second);
  };
  if (!now_running()) start(pod);
  if (const auto running = now_running()) report(pod, *running);
}

void PlayedNodes::bind(const Object& pod) {
  const std::string zone = pod.string_at(std::string("/spec/nodeSelector/topology.kubernetes.io~1zone"));
  const std::string node = zone.empty() ? "node-a" : "node-" + zone.substr(zone.rfind('-') + 1);
  Object binding(kBinding, pod.key());
  binding.json()["target"] = {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", node}};
  client_.create(kBinding, binding);
}

std::string PlayedNodes::missing_secret(const Object& pod) const {
  for (const Json& volume : pod.at("/spec/volumes")) {
    const std::string name = volume.value("/secret/secretName"_json_pointer, "");
    if (name.empty()) continue;
    const auto secret = client_.get(kube::kSecret, {pod.ns(), name});
    if (!secret) return "secret \"" + name + "\" not found";
    for (const Json& item : volume.value("/secret/items"_json_pointer, Json::array())) {
      const std::string key = item.value("key", "");
      if (!secret->at("/data").contains(key)) return "references non-existent secret key: " + key;
    }
  }
  return "";
}

void PlayedNodes::start(const Object& pod) {
  if (const std::string missing = missing_secret(pod); !missing.empty()) return report_waiting(pod, missing);
  std::string token;
  for (const Json& volume : pod.at("/spec/volumes")) {
    if (volume.value("name", "") != "millrace-admin") continue;
    const auto secret = client_.get(kube::kSecret, {pod.ns(), volume.value("/secret/secretName"_json_pointer, "")});
    token = controller::token_of(*secret, std::chrono::system_clock::now()).value_or(controller::AdminToken{}).token;
  }
  const int index = std::stoi(pod.label(controller::kPodIndexLabel).value_or("0"));
  const std::string ip = next_ip();
  auto agent = std::make_shared<PlayedAgent>(ip, token, index, [this] { wake(); });
  const std::lock_guard lock(mutex_);
  running_[pod.uid()] = {ip, std::move(agent)};
}

// A pod that waits for a volume looks so to everybody but the reader of events.
void PlayedNodes::report_waiting(const Object& pod, const std::string& message) {
  if (pod.at("/status/containerStatuses").is_array()) return;
  write_status(client_, pod,
               {{"phase", "Pending"},
                {"conditions", Json::array({condition("ContainersReady", false), condition("Ready", false)})},
                {"containerStatuses", Json::array({{{"name", pod.string_at("/spec/containers/0/name")},
                                                    {"ready", false},
                                                    {"restartCount", 0},
                                                    {"image", pod.string_at("/spec/containers/0/image")},
                                                    {"imageID", ""},
                                                    {"state", {{"waiting", {{"reason", "ContainerCreating"}}}}}}})}});
  Object event(kube::kEvent, {pod.ns(), pod.name() + ".mount"});
  event.json().merge_patch(
      {{"eventTime", "2026-01-01T00:00:00.000000Z"},
       {"action", "Mount"},
       {"reason", "FailedMount"},
       {"type", "Warning"},
       {"note", "MountVolume.SetUp failed: " + message},
       {"reportingController", "kubelet"},
       {"reportingInstance", "played"},
       {"regarding",
        {{"apiVersion", "v1"}, {"kind", "Pod"}, {"name", pod.name()}, {"namespace", pod.ns()}, {"uid", pod.uid()}}}});
  client_.apply(kube::kEvent, event, {.field_manager = "kubelet"});
}

// A kubelet hears of an opened gate some time after the operator wrote it: here, two looks later.
bool PlayedNodes::acknowledged(const Object& pod) {
  const bool open = gates_open(pod);
  const std::lock_guard lock(mutex_);
  Running& running = running_[pod.uid()];
  if (!open) running.opened = -1;
  if (open && running.opened < 0) running.opened = looks_;
  return open && looks_ >= running.opened + 2;
}

void PlayedNodes::report(const Object& pod, const Running& running) {
  PlayedAgent& agent = *running.agent;
  const bool ready = agent.ready() && acknowledged(pod);
  agent.route(ready);
  const Json status = {
      {"phase", "Running"},
      {"podIP", running.ip},
      {"podIPs", Json::array({{{"ip", running.ip}}})},
      {"conditions", Json::array({condition("Initialized", true), condition("ContainersReady", agent.ready()),
                                  condition("Ready", ready)})},
      {"containerStatuses", Json::array({{{"name", pod.string_at("/spec/containers/0/name")},
                                          {"ready", agent.ready()},
                                          {"started", true},
                                          {"restartCount", 0},
                                          {"image", pod.string_at("/spec/containers/0/image")},
                                          {"imageID", "played"},
                                          {"state", {{"running", {{"startedAt", "2026-01-01T00:00:00Z"}}}}}}})}};
  if (running.reported == status.dump()) return;
  write_status(client_, pod, status);
  const std::lock_guard lock(mutex_);
  running_[pod.uid()].reported = status.dump();
}

void PlayedNodes::end(const Object& pod) {
  std::shared_ptr<PlayedAgent> agent;
  {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(pod.uid());
    if (found != running_.end()) agent = found->second.agent;
    running_.erase(pod.uid());
  }
  if (agent) cut_ += agent->status().in_flight;
  client_.remove(kube::kPod, pod.key(), {.uid = pod.uid(), .grace_period = 0});
}

// Pods that were removed without a word to their node.
void PlayedNodes::forget_absent(const std::vector<ObjectPtr>& pods) {
  std::set<std::string> present;
  for (const ObjectPtr& pod : pods) present.insert(pod->uid());
  std::map<std::string, Running> gone;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [uid, running] : running_) {
      if (!present.contains(uid)) gone[uid] = running;
    }
    for (const auto& [uid, running] : gone) running_.erase(uid);
  }
  for (const auto& [uid, running] : gone) cut_ += running.agent->status().in_flight;
}

std::string PlayedNodes::next_ip() {
  ++next_host_;
  return "127." + std::to_string(network_) + "." + std::to_string(next_host_ / 250) + "." +
         std::to_string(1 + next_host_ % 250);
}

}  // namespace millrace::testing
