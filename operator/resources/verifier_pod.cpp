#include "operator/resources/verifier_pod.h"

#include <array>

#include "operator/api/labels.h"
#include "operator/resources/pod.h"

namespace millrace::controller {
namespace {

// What it has in common with the pods of a group.
constexpr std::array<const char*, 8> kCopiedFields{"automountServiceAccountToken",
                                                   "enableServiceLinks",
                                                   "securityContext",
                                                   "tolerations",
                                                   "imagePullSecrets",
                                                   "priorityClassName",
                                                   "serviceAccountName",
                                                   "runtimeClassName"};
constexpr std::array<const char*, 6> kGroupFields{"ports",        "env",           "args",
                                                  "startupProbe", "livenessProbe", "readinessProbe"};

Json only_model(const Json& list) {
  Json result = Json::array();
  for (const Json& item : list) {
    if (item["name"] == kModelVolume || item["name"] == kTmpVolume) result.push_back(item);
  }
  return result;
}

Json container_of(const Parent& parent, Json container) {
  for (const char* field : kGroupFields) container.erase(field);
  container["args"] = {"--model",
                       kModelPath,
                       "--check-model",
                       "--tensor",
                       std::to_string(parent.spec.parallelism.tensor),
                       "--expert",
                       std::to_string(parent.spec.parallelism.expert)};
  container["resources"] = {{"requests", {{"cpu", "100m"}, {"memory", "128Mi"}}}, {"limits", {{"memory", "1Gi"}}}};
  container["volumeMounts"] = only_model(container["volumeMounts"]);
  return container;
}

}  // namespace

kube::Object build_verifier_pod(const Parent& parent, const std::string& node) {
  const kube::Object of_group = build_pod(parent, CreatePod{});
  const Json& like = of_group.at("/spec");
  kube::Object pod = new_child(parent, kube::kPod, parent.key.name + "-" + parent.revision + "-verify");
  pod.json()["metadata"]["labels"][kVerifiesLabel] = parent.revision;
  Json& spec = pod.json()["spec"];
  for (const char* field : kCopiedFields) {
    if (like.contains(field)) spec[field] = like[field];
  }
  spec["nodeName"] = node;
  spec["restartPolicy"] = "OnFailure";  // tried again, ever more seldom, until the model can be read
  spec["terminationGracePeriodSeconds"] = 1;
  spec["containers"] = Json::array({container_of(parent, like["containers"][0])});
  spec["volumes"] = only_model(like["volumes"]);
  return pod;
}

std::optional<std::string> revision_verified_by(const kube::Object& pod) {
  return pod.label(kVerifiesLabel);
}

}  // namespace millrace::controller
