#include "operator/resources/disruption_budget.h"

#include <algorithm>

#include "operator/api/labels.h"

namespace millrace::controller {

kube::Object build_disruption_budget(const Parent& parent) {
  const std::int32_t pods = parent.spec.replicas * parent.spec.pods_per_group();
  kube::Object budget = new_child(parent, kube::kPodDisruptionBudget, disruption_budget_name(parent));
  budget.json()["spec"] = {{"minAvailable", std::max(pods - 1, 0)},
                           {"selector", {{"matchLabels", {{kDeploymentLabel, parent.key.name}}}}}};
  return budget;
}

}  // namespace millrace::controller
