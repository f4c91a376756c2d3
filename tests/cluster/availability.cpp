#include "tests/cluster/availability.h"

#include <algorithm>
#include <set>

#include "operator/api/labels.h"

namespace millrace::testing {
namespace {

namespace kube = controller::kube;

bool takes_requests(const kube::Object& pod) {
  if (pod.is_deleted() || pod.label(controller::kPodIndexLabel) != "0") return false;
  const kube::Json& conditions = pod.at("/status/conditions");
  return std::any_of(conditions.begin(), conditions.end(), [](const kube::Json& condition) {
    return condition.value("type", "") == "Ready" && condition.value("status", "") == "True";
  });
}

}  // namespace

Availability::Availability(kube::Client& client, std::string deployment)
    : deployment_(std::move(deployment)),
      informer_(client, {.kind = kube::kPod, .label_selector = controller::kDeploymentLabel + ("=" + deployment_)},
                [this](const kube::Change& change) { on_change(change); }) {}

void Availability::on_change(const kube::Change& change) {
  const std::lock_guard lock(mutex_);
  if (change.after) {
    pods_[change.after->name()] = change.after;
  } else {
    pods_.erase(change.before->name());
  }
  judge_locked();
}

void Availability::judge_locked() {
  std::set<std::string> groups;
  extremes_.routed = 0;
  for (const auto& [name, pod] : pods_) {
    groups.insert(pod->label(controller::kGroupLabel).value_or(name));
    if (takes_requests(*pod)) ++extremes_.routed;
  }
  extremes_.groups = static_cast<int>(groups.size());
  extremes_.fewest_routed = std::min(extremes_.fewest_routed, extremes_.routed);
  extremes_.most_groups = std::max(extremes_.most_groups, extremes_.groups);
}

Extremes Availability::extremes() const {
  const std::lock_guard lock(mutex_);
  return extremes_;
}

void Availability::reset() {
  const std::lock_guard lock(mutex_);
  extremes_.fewest_routed = extremes_.routed;
  extremes_.most_groups = extremes_.groups;
}

}  // namespace millrace::testing
