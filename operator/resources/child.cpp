#include "operator/resources/child.h"

#include "operator/api/labels.h"

namespace millrace::controller {

Parent parent_of(const kube::Object& object, Spec spec, std::string revision) {
  return {object.key(), object.api_version(), object.uid(), std::move(spec), std::move(revision)};
}

StringMap child_labels(const Parent& parent) {
  return {{kDeploymentLabel, parent.key.name},      {kManagedBy, kManagedByValue},
          {"app.kubernetes.io/name", "millrace"},   {"app.kubernetes.io/instance", parent.key.name},
          {"app.kubernetes.io/component", "agent"}, {"app.kubernetes.io/part-of", "millrace"}};
}

kube::Object new_child(const Parent& parent, const kube::ResourceKind& kind, const std::string& name) {
  kube::Object child(kind, {parent.key.ns, name});
  Json& metadata = child.json()["metadata"];
  metadata["labels"] = child_labels(parent);
  metadata["ownerReferences"] = Json::array({{{"apiVersion", parent.api_version},
                                              {"kind", kube::kModelDeployment.kind},
                                              {"name", parent.key.name},
                                              {"uid", parent.uid},
                                              {"controller", true},
                                              {"blockOwnerDeletion", true}}});
  return child;
}

std::string service_name(const Parent& parent) {
  return parent.key.name;
}

std::string config_map_name(const Parent& parent) {
  return parent.key.name + "-" + parent.revision;
}

std::string admin_secret_name(const kube::ObjectKey& deployment) {
  return deployment.name + "-admin";
}

std::string disruption_budget_name(const Parent& parent) {
  return parent.key.name;
}

}  // namespace millrace::controller
