// From stored objects to the plain values that plans are made of. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "operator/kube/store.h"
#include "operator/plan/plan.h"

namespace millrace::controller {

using EvidenceSource = std::function<std::optional<AgentEvidence>(const std::string& pod_uid)>;

PodView pod_view(const kube::Object& pod, const EvidenceSource& evidence);
NodeView node_view(const kube::Object& node);
std::vector<NodeView> node_views(const std::vector<kube::ObjectPtr>& nodes);

// Pods that carry the operator's labels and belong to the deployment with this uid, gathered into groups by name.
std::vector<GroupView> group_views(const std::vector<kube::ObjectPtr>& pods, const std::string& owner_uid,
                                   const EvidenceSource& evidence);

}  // namespace millrace::controller
