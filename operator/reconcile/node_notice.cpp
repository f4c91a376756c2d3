#include "operator/reconcile/node_notice.h"

#include <algorithm>
#include <string_view>

namespace millrace::controller {
namespace {

using kube::Json;
using Kind = NodeNotice::Kind;

struct KnownTaint {
  std::string_view key;
  Kind kind;
};

// Candidates (DeletionCandidateOfClusterAutoscaler) are no notice: most of them stay.
constexpr KnownTaint kKnownTaints[] = {
    {"ToBeDeletedByClusterAutoscaler", Kind::kAnnounced},
    {"karpenter.sh/disrupted", Kind::kAnnounced},
    {"karpenter.sh/disruption", Kind::kAnnounced},
    {"aws-node-termination-handler/asg-lifecycle-termination", Kind::kAnnounced},
    {"aws-node-termination-handler/rebalance-recommendation", Kind::kAnnounced},
    {"aws-node-termination-handler/scheduled-maintenance", Kind::kAnnounced},
    {"aws-node-termination-handler/spot-itn", Kind::kImminent},
    {"cloud.google.com/impending-node-termination", Kind::kImminent},
    {"node.cloudprovider.kubernetes.io/shutdown", Kind::kImminent},
    {"node.kubernetes.io/out-of-service", Kind::kImminent},
};

}  // namespace

NodeNotice notice_on(const kube::Object& node) {
  NodeNotice notice;
  const std::string who = "node " + node.name();
  if (node.bool_at("/spec/unschedulable")) {
    notice = {Kind::kCordoned, who + " is cordoned", "node.kubernetes.io/unschedulable"};
  }
  if (node.is_deleted()) notice = {Kind::kAnnounced, who + " is being deleted", ""};
  const Json& taints = node.at("/spec/taints");
  if (!taints.is_array()) return notice;
  for (const Json& taint : taints) {
    const std::string key = kube::string_in(taint, "key");
    const auto known = std::find_if(std::begin(kKnownTaints), std::end(kKnownTaints),
                                    [&](const KnownTaint& entry) { return entry.key == key; });
    if (known == std::end(kKnownTaints) || known->kind <= notice.kind) continue;
    notice = {known->kind, who + " is about to be taken away (taint " + key + ")", key,
              kube::string_in(taint, "effect")};
  }
  return notice;
}

}  // namespace millrace::controller
