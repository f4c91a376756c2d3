#include "operator/reconcile/node_notice.h"

#include <gtest/gtest.h>

namespace millrace::controller {
namespace {

using Kind = NodeNotice::Kind;

NodeNotice notice(const kube::Json& spec) {
  kube::Object node(kube::kNode, {"", "n1"});
  node.json()["spec"] = spec;
  return notice_on(node);
}

kube::Json tainted(const std::string& key, bool cordoned = false) {
  kube::Json spec = {{"taints", {{{"key", key}, {"effect", "NoSchedule"}, {"value", "17"}}}}};
  if (cordoned) spec["unschedulable"] = true;
  return spec;
}

TEST(NodeNotice, AnOrdinaryNodeGivesNone) {
  EXPECT_EQ(notice(kube::Json::object()).kind, Kind::kNone);
  EXPECT_EQ(notice(tainted("nvidia.com/gpu")).kind, Kind::kNone);
}

TEST(NodeNotice, ACandidateForDeletionGivesNone) {
  EXPECT_EQ(notice(tainted("DeletionCandidateOfClusterAutoscaler")).kind, Kind::kNone);
}

TEST(NodeNotice, ACordonIsOne) {
  const NodeNotice cordoned = notice({{"unschedulable", true}});
  EXPECT_EQ(cordoned.kind, Kind::kCordoned);
  EXPECT_EQ(cordoned.message, "node n1 is cordoned");
  EXPECT_EQ(cordoned.taint, "node.kubernetes.io/unschedulable");
}

TEST(NodeNotice, TaintsOfAutoscalersAndCloudsAreMoreUrgentThanACordon) {
  for (const char* key : {"ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted",
                          "aws-node-termination-handler/scheduled-maintenance"}) {
    EXPECT_EQ(notice(tainted(key, true)).kind, Kind::kAnnounced) << key;
  }
  for (const char* key : {"aws-node-termination-handler/spot-itn", "cloud.google.com/impending-node-termination",
                          "node.cloudprovider.kubernetes.io/shutdown", "node.kubernetes.io/out-of-service"}) {
    EXPECT_EQ(notice(tainted(key, true)).kind, Kind::kImminent) << key;
  }
}

TEST(NodeNotice, ANodeThatIsBeingDeletedGoes) {
  kube::Object node(kube::kNode, {"", "n1"});
  node.json()["metadata"]["deletionTimestamp"] = "2026-01-02T12:00:00Z";
  EXPECT_EQ(notice_on(node).kind, Kind::kAnnounced);
  EXPECT_EQ(notice_on(node).taint, "") << "nothing keeps new pods away";
}

TEST(NodeNotice, SurvivesOddTaints) {
  EXPECT_EQ(notice({{"taints", {1, nullptr, {{"key", 3}}}}}).kind, Kind::kNone);
  EXPECT_EQ(notice({{"taints", "none"}}).kind, Kind::kNone);
}

}  // namespace
}  // namespace millrace::controller
