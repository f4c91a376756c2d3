#include "operator/reconcile/cached_form.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace millrace::controller {
namespace {

using kube::Json;
using Names = std::initializer_list<std::string_view>;

void keep_only(Json& object, Names names) {
  if (!object.is_object()) return;
  Json kept = Json::object();
  for (const std::string_view name : names) {
    const auto found = object.find(name);
    if (found != object.end()) kept[std::string(name)] = std::move(*found);
  }
  object = std::move(kept);
}

Json& member(Json& object, const char* name) {
  static thread_local Json none;
  none = nullptr;
  if (!object.is_object()) return none;
  const auto found = object.find(name);
  return found == object.end() ? none : *found;
}

void for_each_item(Json& list, const std::function<void(Json&)>& change) {
  if (!list.is_array()) return;
  for (Json& item : list) change(item);
}

void keep_own(Json& annotations) {
  if (!annotations.is_object()) return;
  std::erase_if(annotations.get_ref<Json::object_t&>(),
                [](const auto& item) { return item.first.rfind("millrace.dev/", 0) != 0; });
}

// As read by pod_view() and shape_of_pod().
void trim_pod(kube::Object& pod) {
  Json& object = pod.json();
  Json& metadata = member(object, "metadata");
  keep_only(metadata, {"name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
                       "labels", "annotations", "ownerReferences"});
  keep_own(member(metadata, "annotations"));
  keep_only(member(object, "spec"), {"nodeName", "readinessGates"});
  Json& status = member(object, "status");
  keep_only(status, {"phase", "podIP", "conditions", "containerStatuses"});
  for_each_item(member(status, "conditions"), [](Json& condition) {
    const bool explained = member(condition, "status") == "False";  // nobody asks why all is well
    if (!explained && condition.is_object()) condition.erase("reason");
    keep_only(condition, {"type", "status", "reason", "message", "lastTransitionTime"});
  });
  for_each_item(member(status, "containerStatuses"), [](Json& container) {
    keep_only(container, {"restartCount", "state", "lastState"});
    keep_only(member(container, "state"), {"waiting"});
    keep_only(member(container, "lastState"), {"terminated"});
    keep_only(member(member(container, "lastState"), "terminated"), {"message"});
  });
}

// As read by node_view() and compared for placement.
void trim_node(kube::Object& node) {
  Json& object = node.json();
  keep_only(member(object, "metadata"), {"name", "uid", "resourceVersion", "deletionTimestamp", "labels"});
  keep_only(member(object, "spec"), {"unschedulable", "taints"});
  Json& status = member(object, "status");
  keep_only(status, {"allocatable", "conditions"});
  Json& conditions = member(status, "conditions");
  if (!conditions.is_array()) return;
  std::erase_if(conditions.get_ref<Json::array_t&>(), [](const Json& condition) {
    return !condition.is_object() || condition.value("type", Json()) != "Ready";
  });
  for_each_item(conditions, [](Json& condition) { keep_only(condition, {"type", "status"}); });
}

void drop_status(kube::Object& object) {
  if (object.json().is_object()) object.json().erase("status");
}

}  // namespace

std::function<void(kube::Object&)> trim_of(const kube::ResourceKind& kind) {
  if (kind == kube::kPod) return trim_pod;
  if (kind == kube::kNode) return trim_node;
  if (kind == kube::kService || kind == kube::kPodDisruptionBudget) return drop_status;
  return {};
}

}  // namespace millrace::controller
