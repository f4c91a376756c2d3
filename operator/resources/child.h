// What the builders of children share: the deployment they belong to, and the metadata all children carry.
#pragma once

#include <string>

#include "operator/api/model_deployment.h"

namespace millrace::controller {

// The parent, as the builders need it. `spec.image` is resolved.
struct Parent {
  kube::ObjectKey key;
  std::string api_version;
  std::string uid;
  Spec spec;
  std::string revision;
};

Parent parent_of(const kube::Object& object, Spec spec, std::string revision);

// Labels of every child: who it belongs to, and app.kubernetes.io/*.
StringMap child_labels(const Parent& parent);

// A child with name, labels and owner reference, and nothing else.
kube::Object new_child(const Parent& parent, const kube::ResourceKind& kind, const std::string& name);

std::string service_name(const Parent& parent);
std::string config_map_name(const Parent& parent);  // one for each revision: a running group keeps its own
std::string admin_secret_name(const kube::ObjectKey& deployment);
std::string disruption_budget_name(const Parent& parent);

}  // namespace millrace::controller
