#include "operator/reconcile/cached_form.h"

#include <gtest/gtest.h>

#include "operator/api/labels.h"
#include "operator/reconcile/observe.h"
#include "operator/resources/pod.h"

namespace millrace::controller {
namespace {

using kube::Json;
using kube::Object;

// As an API server hands it out.
Object served_pod() {
  Object pod(kube::kPod, {"ml", "chat-a-0-1"});
  Json& object = pod.json();
  object["metadata"].update(
      {{"uid", "u1"},
       {"resourceVersion", "77"},
       {"creationTimestamp", "2026-01-02T03:00:00Z"},
       {"labels", {{kDeploymentLabel, "chat"}, {kGroupLabel, "chat-a-0"}, {kPodIndexLabel, "1"}, {kZoneLabel, "a"}}},
       {"annotations",
        {{kRetiringAnnotation, "2026-01-02T03:30:00Z"},
         {"millrace.dev/group-shape", R"({"tensor":2,"expert":1,"perPod":1})"},
         {"cni.example.com/config", "long"}}},
       {"ownerReferences", {{{"kind", "ModelDeployment"}, {"name", "chat"}, {"uid", "m1"}, {"controller", true}}}}});
  object["spec"] = {{"nodeName", "n1"},
                    {"readinessGates", {{{"conditionType", kRoutableGate}}}},
                    {"containers", {{{"name", "agent"}, {"image", "agent:1"}}}}};
  object["status"] = {{"phase", "Running"}, {"podIP", "10.0.0.7"}, {"hostIP", "10.0.0.1"}, {"qosClass", "Burstable"}};
  object["status"]["conditions"] = {{{"type", "ContainersReady"}, {"status", "True"}, {"lastProbeTime", nullptr}},
                                    {{"type", "PodScheduled"}, {"status", "False"}, {"message", "no room"}},
                                    {{"type", "Ready"}, {"status", "False"}, {"reason", "ReadinessGatesNotReady"}},
                                    {{"type", kRoutableGate},
                                     {"status", "False"},
                                     {"reason", "ZoneInDoubt"},
                                     {"lastTransitionTime", "2026-01-02T03:10:00Z"}}};
  object["status"]["containerStatuses"] = {
      {{"name", "agent"},
       {"imageID", "sha256:1"},
       {"restartCount", 4},
       {"state", {{"waiting", {{"reason", "CrashLoopBackOff"}, {"message", "back-off"}}}}},
       {"lastState", {{"terminated", {{"exitCode", 1}, {"message", "no such tensor"}}}}}}};
  return pod;
}

TEST(CachedForm, KeepsOfAPodWhatIsReadOfIt) {
  const Object whole = served_pod();
  Object kept = whole;
  trim_of(kube::kPod)(kept);
  EXPECT_LT(kept.json().dump().size(), whole.json().dump().size());
  const EvidenceSource nobody = [](const std::string&) { return std::nullopt; };
  const PodView before = pod_view(whole, nobody);
  const PodView after = pod_view(kept, nobody);
  EXPECT_EQ(after.name, before.name);
  EXPECT_EQ(after.uid, "u1");
  EXPECT_EQ(after.node, "n1");
  EXPECT_EQ(after.ip, "10.0.0.7");
  EXPECT_EQ(after.index, 1);
  EXPECT_EQ(after.phase, "Running");
  EXPECT_EQ(after.created, before.created);
  EXPECT_TRUE(after.containers_ready);
  EXPECT_EQ(after.unschedulable, "no room");
  EXPECT_TRUE(after.gated);
  EXPECT_EQ(after.gate, before.gate);
  EXPECT_EQ(after.gate_since, before.gate_since);
  EXPECT_EQ(after.doubt_answered, true);
  EXPECT_EQ(after.retiring_since, before.retiring_since);
  EXPECT_EQ(after.restarts, 4);
  EXPECT_EQ(after.trouble_reason, "CrashLoopBackOff");
  EXPECT_EQ(after.trouble_message, before.trouble_message);
  EXPECT_EQ(group_views({std::make_shared<const Object>(kept)}, "m1", nobody).size(), 1U);
  EXPECT_EQ(kept.resource_version(), "77");
}

TEST(CachedForm, KeepsOfANodeWhatIsReadOfIt) {
  Object node(kube::kNode, {"", "n1"});
  node.json()["metadata"]["labels"] = {{kTopologyZone, "a"}};
  node.json()["spec"] = {{"podCIDR", "10.0.0.0/24"}, {"taints", {{{"key", "karpenter.sh/disrupted"}}}}};
  node.json()["status"] = {
      {"allocatable", {{"cpu", "4"}}},
      {"images", {{{"names", {"a", "b"}}}}},
      {"conditions", {{{"type", "DiskPressure"}, {"status", "False"}}, {{"type", "Ready"}, {"status", "Unknown"}}}}};
  Object kept = node;
  trim_of(kube::kNode)(kept);
  EXPECT_FALSE(kept.json()["status"].contains("images"));
  const NodeView view = node_view(kept);
  EXPECT_EQ(view.zone, "a");
  EXPECT_FALSE(view.heard_of);
  EXPECT_EQ(view.allocatable.at("cpu"), "4");
  EXPECT_EQ(view.notice.kind, NodeNotice::Kind::kAnnounced);
}

TEST(CachedForm, BearsObjectsThatLackEverything) {
  for (const kube::ResourceKind& kind : {kube::kPod, kube::kNode, kube::kService}) {
    Object empty;
    trim_of(kind)(empty);
    EXPECT_TRUE(empty.json().empty());
    Object odd(Json{{"metadata", 1}, {"status", {{"conditions", "none"}, {"containerStatuses", {1, "x"}}}}});
    trim_of(kind)(odd);
    EXPECT_EQ(odd.name(), "");
  }
}

}  // namespace
}  // namespace millrace::controller
