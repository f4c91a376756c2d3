#include "operator/resources/disruption_budget.h"

#include <algorithm>

#include "operator/api/labels.h"
#include "operator/plan/rollout_target.h"

namespace millrace::controller {

kube::Object build_disruption_budget(const Parent& parent) {
  const std::int32_t pods = parent.spec.replicas * parent.spec.pods_per_group();
  kube::Object budget = new_child(parent, kube::kPodDisruptionBudget, disruption_budget_name(parent));
  const bool may_miss = budgets_of(parent.spec.rollout, parent.spec.replicas).unavailable > 0;
  const Json in_a_group = {{"key", kGroupLabel}, {"operator", "Exists"}};
  budget.json()["spec"] = {
      {"minAvailable", std::max(pods - (may_miss ? 1 : 0), 0)},
      {"unhealthyPodEvictionPolicy", "AlwaysAllow"},
      {"selector",
       {{"matchLabels", {{kDeploymentLabel, parent.key.name}}}, {"matchExpressions", Json::array({in_a_group})}}}};
  return budget;
}

}  // namespace millrace::controller
