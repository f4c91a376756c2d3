#include "operator/reconcile/observe.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "operator/api/labels.h"
#include "operator/kube/timestamp.h"
#include "operator/plan/routing.h"
#include "operator/reconcile/node_notice.h"
#include "operator/resources/pod.h"

namespace millrace::controller {
namespace {

// The entry of a list of objects whose `key` is `value`, or a null document.
const Json& entry_of(const Json& list, const char* key, const std::string& value) {
  static const Json kNone;
  if (!list.is_array()) return kNone;
  const auto found = std::find_if(list.begin(), list.end(), [&](const Json& entry) {
    return entry.is_object() && entry.contains(key) && entry[key] == value;
  });
  return found == list.end() ? kNone : *found;
}

std::int32_t number_after(const std::string& value, std::size_t start) {
  std::int32_t number = -1;
  if (start <= value.size()) std::from_chars(value.data() + start, value.data() + value.size(), number);
  return number;
}

bool is_trouble(const std::string& reason) {
  static const std::set<std::string> kReasons{"CrashLoopBackOff",     "ImagePullBackOff", "ErrImagePull",
                                              "ErrImageNeverPull",    "InvalidImageName", "CreateContainerConfigError",
                                              "CreateContainerError", "RunContainerError"};
  return kReasons.contains(reason);
}

void read_trouble(const kube::Object& pod, PodView& view) {
  const Json& statuses = pod.at("/status/containerStatuses");
  if (!statuses.is_array()) return;
  for (const Json& status : statuses) {
    const kube::Object container(status);
    view.restarts += static_cast<std::int32_t>(container.int_at("/restartCount").value_or(0));
  }
  for (const Json& status : statuses) {
    const kube::Object container(status);
    const std::string reason = container.string_at("/state/waiting/reason");
    if (!is_trouble(reason)) continue;
    view.trouble_reason = reason;
    view.trouble_message = container.string_at("/state/waiting/message");
    const std::string last = container.string_at("/lastState/terminated/message");
    if (!last.empty()) view.trouble_message += (view.trouble_message.empty() ? "" : "; last words: ") + last;
    return;
  }
}

void read_conditions(const kube::Object& pod, PodView& view) {
  const Json& conditions = pod.at("/status/conditions");
  view.containers_ready = kube::string_in(entry_of(conditions, "type", "ContainersReady"), "status") == "True";
  const Json& ready = entry_of(conditions, "type", "Ready");
  view.ready = kube::string_in(ready, "status") == "True";
  const Json& scheduled = entry_of(conditions, "type", "PodScheduled");
  if (kube::string_in(scheduled, "status") == "False") view.unschedulable = kube::string_in(scheduled, "message");
  const Json& gate = entry_of(conditions, "type", kRoutableGate);
  if (gate.is_object()) {
    view.gate = kube::string_in(gate, "status") == "True";
    view.gate_since = kube::parse_timestamp(kube::string_in(gate, "lastTransitionTime")).value_or(TimePoint{});
    const std::string reason = kube::string_in(gate, "reason");
    const bool in_doubt = !*view.gate && (reason == kZoneInDoubt || reason == kSilent);
    if (in_doubt) view.doubt_answered = !view.ready && kube::string_in(ready, "reason") != kForKubeletReason;
  }
}

}  // namespace

PodView pod_view(const kube::Object& pod, const EvidenceSource& evidence) {
  PodView view;
  view.name = pod.name();
  view.uid = pod.uid();
  view.version = pod.resource_version();
  view.node = pod.string_at("/spec/nodeName");
  view.ip = pod.string_at("/status/podIP");
  view.index = number_after(pod.label(kPodIndexLabel).value_or(""), 0);
  view.phase = pod.string_at("/status/phase");
  view.created = kube::parse_timestamp(pod.creation_timestamp().value_or("")).value_or(TimePoint{});
  if (const auto deleted = pod.deletion_timestamp()) {
    view.gone_by = kube::parse_timestamp(*deleted).value_or(TimePoint{});
  }
  if (const auto since = pod.annotation(kRetiringAnnotation)) {
    view.retiring_since = kube::parse_timestamp(*since).value_or(TimePoint{});
  }
  view.gated = entry_of(pod.at("/spec/readinessGates"), "conditionType", kRoutableGate).is_object();
  read_conditions(pod, view);
  read_trouble(pod, view);
  view.tls_secret = tls_secret_of_pod(pod);
  view.evidence = evidence(view.uid);
  return view;
}

NodeView node_view(const kube::Object& node) {
  NodeView view;
  view.name = node.name();
  view.zone = node.label(kTopologyZone).value_or("");
  const std::string ready = kube::string_in(entry_of(node.at("/status/conditions"), "type", "Ready"), "status");
  view.notice = notice_on(node);
  view.schedulable = view.notice.kind == NodeNotice::Kind::kNone && ready == "True";
  view.heard_of = ready != "Unknown";
  const Json& allocatable = node.at("/status/allocatable");
  if (allocatable.is_object()) {
    for (const auto& item : allocatable.items()) {
      if (item.value().is_string()) view.allocatable[item.key()] = item.value().get<std::string>();
    }
  }
  return view;
}

std::vector<NodeView> node_views(const std::vector<kube::ObjectPtr>& nodes) {
  std::vector<NodeView> views;
  views.reserve(nodes.size());
  for (const kube::ObjectPtr& node : nodes) views.push_back(node_view(*node));
  return views;
}

std::vector<GroupView> group_views(const std::vector<kube::ObjectPtr>& pods, const std::string& owner_uid,
                                   const EvidenceSource& evidence) {
  std::map<std::string, GroupView> groups;
  for (const kube::ObjectPtr& pod : pods) {
    const auto owner = pod->controller_owner();
    const std::optional<GroupShape> shape = shape_of_pod(*pod);
    if (!owner || owner->uid != owner_uid || !shape) continue;
    GroupView& group = groups[shape->name];
    group.name = shape->name;
    group.revision = pod->label(kRevisionLabel).value_or("");
    group.zone = pod->label(kZoneLabel).value_or("");
    group.index = number_after(group.name, group.name.rfind('-') + 1);
    group.expected_pods = shape->pods();
    group.pods.push_back(pod_view(*pod, evidence));
  }
  std::vector<GroupView> result;
  for (auto& [name, group] : groups) {
    std::sort(group.pods.begin(), group.pods.end(),
              [](const PodView& a, const PodView& b) { return a.index < b.index; });
    result.push_back(std::move(group));
  }
  return result;
}

}  // namespace millrace::controller
