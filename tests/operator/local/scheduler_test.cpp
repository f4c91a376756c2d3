#include "operator/local/scheduler.h"

#include <gtest/gtest.h>

#include "operator/api/labels.h"

namespace millrace::controller::local {
namespace {

using kube::Json;
using kube::Object;

Object node(const std::string& name, const std::string& zone, const std::string& cpu) {
  Object result(kube::kNode, {"", name});
  result.json()["metadata"]["labels"][kTopologyZone] = zone;
  result.json()["status"]["allocatable"] = {{"cpu", cpu}};
  return result;
}

Object asking_pod(const std::string& name, const std::string& cpu, const std::string& node_name = "") {
  Object result(kube::kPod, {"default", name});
  result.json()["spec"]["containers"] = Json::array({{{"resources", {{"requests", {{"cpu", cpu}}}}}}});
  if (!node_name.empty()) result.json()["spec"]["nodeName"] = node_name;
  return result;
}

TEST(Scheduler, TakesTheNodeWithFewestPods) {
  const std::vector<Object> nodes{node("n1", "a", "4"), node("n2", "b", "4")};
  EXPECT_EQ(choose_node(asking_pod("p", "1"), nodes, {asking_pod("q", "1", "n1")}).node, "n2");
  EXPECT_EQ(choose_node(asking_pod("p", "1"), nodes, {}).node, "n1");
}

TEST(Scheduler, HonoursTheNodeSelector) {
  Object wanted = asking_pod("p", "1");
  wanted.json()["spec"]["nodeSelector"][kTopologyZone] = "b";
  EXPECT_EQ(choose_node(wanted, {node("n1", "a", "4"), node("n2", "b", "4")}, {}).node, "n2");
}

TEST(Scheduler, CountsWhatOtherPodsAskFor) {
  const std::vector<Object> nodes{node("n1", "a", "2")};
  EXPECT_EQ(choose_node(asking_pod("p", "1500m"), nodes, {asking_pod("q", "500m", "n1")}).node, "n1");
  EXPECT_EQ(choose_node(asking_pod("p", "1500m"), nodes, {asking_pod("q", "600m", "n1")}).node, "");
}

TEST(Scheduler, SaysWhyNoNodeTakesAPod) {
  Object wanted = asking_pod("p", "1");
  wanted.json()["spec"]["containers"][0]["resources"]["requests"]["nvidia.com/gpu"] = "1";
  const auto verdict = choose_node(wanted, {node("n1", "a", "4"), node("n2", "b", "4")}, {});
  EXPECT_EQ(verdict.reason, "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.");
}

}  // namespace
}  // namespace millrace::controller::local
