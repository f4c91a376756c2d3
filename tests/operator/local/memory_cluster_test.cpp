#include "operator/local/memory_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "operator/kube/watcher.h"

namespace millrace::controller::local {
namespace {

using common::Code;
using kube::Json;
using kube::Object;

Object pod(const std::string& name, Json spec = Json::object()) {
  Object result(kube::kPod, {"default", name});
  result.json()["spec"] = std::move(spec);
  return result;
}

Code code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const common::Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return Code::kInternal;
}

TEST(MemoryCluster, CreatesOnceAndListsBySelector) {
  MemoryCluster cluster;
  Object labelled = pod("a");
  labelled.json()["metadata"]["labels"]["app"] = "x";
  const Object created = cluster.create(kube::kPod, labelled);
  EXPECT_FALSE(created.uid().empty());
  EXPECT_EQ(created.generation(), 1);
  EXPECT_EQ(code_of([&] { cluster.create(kube::kPod, labelled); }), Code::kAlreadyExists);
  cluster.create(kube::kPod, pod("b"));
  kube::ListOptions options;
  options.label_selector = "app=x";
  EXPECT_EQ(cluster.list(kube::kPod, options).items.size(), 1U);
  EXPECT_EQ(cluster.list(kube::kPod, {}).items.size(), 2U);
}

TEST(MemoryCluster, CountsGenerationsOfTheSpecOnly) {
  MemoryCluster cluster;
  cluster.create(kube::kPod, pod("a"));
  EXPECT_EQ(cluster.patch(kube::kPod, {"default", "a"}, {{"metadata", {{"annotations", {{"x", "y"}}}}}}).generation(),
            1);
  EXPECT_EQ(cluster.patch(kube::kPod, {"default", "a"}, {{"spec", {{"x", 1}}}}).generation(), 2);
}

TEST(MemoryCluster, KeepsSpecAndStatusApart) {
  MemoryCluster cluster;
  cluster.create(kube::kPod, pod("a"));
  cluster.patch(kube::kPod, {"default", "a"}, {{"spec", {{"x", 1}}}, {"status", {{"y", 1}}}});
  Object stored = *cluster.get(kube::kPod, {"default", "a"});
  EXPECT_EQ(stored.int_at("/spec/x"), 1);
  EXPECT_FALSE(stored.int_at("/status/y"));
  stored = cluster.patch(kube::kPod, {"default", "a"}, {{"spec", {{"x", 2}}}, {"status", {{"y", 1}}}}, {"status"});
  EXPECT_EQ(stored.int_at("/spec/x"), 1);
  EXPECT_EQ(stored.int_at("/status/y"), 1);
}

TEST(MemoryCluster, ScalesThroughTheSubresource) {
  MemoryCluster cluster;
  Object deployment(kube::kModelDeployment, {"default", "m"});
  deployment.json()["spec"] = {{"replicas", 1}, {"image", "x"}};
  cluster.create(kube::kModelDeployment, deployment);
  const Object scaled =
      cluster.patch(kube::kModelDeployment, {"default", "m"}, {{"spec", {{"replicas", 5}}}}, {"scale"});
  EXPECT_EQ(scaled.kind(), "Scale");
  EXPECT_EQ(scaled.at("/spec"), Json({{"replicas", 5}}));
  EXPECT_EQ(cluster.get(kube::kModelDeployment, {"default", "m"})->at("/spec"),
            Json({{"replicas", 5}, {"image", "x"}}));
}

TEST(MemoryCluster, DoesNotCountAWriteWithoutADifference) {
  MemoryCluster cluster;
  cluster.apply(kube::kPod, pod("a", {{"x", 1}}));
  const std::uint64_t before = cluster.version();
  cluster.apply(kube::kPod, pod("a", {{"x", 1}}));
  EXPECT_EQ(cluster.version(), before);
}

TEST(MemoryCluster, HonoursPreconditions) {
  MemoryCluster cluster;
  const Object created = cluster.create(kube::kPod, pod("a"));
  const Json stale = {{"metadata", {{"resourceVersion", "0"}}}};
  EXPECT_EQ(code_of([&] { cluster.patch(kube::kPod, created.key(), stale); }), Code::kConflict);
  kube::RemoveOptions other;
  other.uid = "another";
  EXPECT_EQ(code_of([&] { cluster.remove(kube::kPod, created.key(), other); }), Code::kConflict);
  EXPECT_EQ(code_of([&] { cluster.patch(kube::kPod, {"default", "b"}, Json::object()); }), Code::kNotFound);
}

TEST(MemoryCluster, GivesPodsOnNodesTheirGrace) {
  MemoryCluster cluster;
  cluster.create(kube::kPod, pod("a", {{"nodeName", "n"}, {"terminationGracePeriodSeconds", 60}}));
  EXPECT_TRUE(cluster.remove(kube::kPod, {"default", "a"}));
  const auto leaving = cluster.get(kube::kPod, {"default", "a"});
  ASSERT_TRUE(leaving && leaving->is_deleted());
  EXPECT_EQ(leaving->int_at("/metadata/deletionGracePeriodSeconds"), 60);
  kube::RemoveOptions now;
  now.grace_period = 0;
  EXPECT_TRUE(cluster.remove(kube::kPod, {"default", "a"}, now));
  EXPECT_FALSE(cluster.get(kube::kPod, {"default", "a"}));
  EXPECT_FALSE(cluster.remove(kube::kPod, {"default", "a"}));
}

TEST(MemoryCluster, WaitsForFinalizers) {
  MemoryCluster cluster;
  Object map(kube::kConfigMap, {"default", "a"});
  map.json()["metadata"]["finalizers"] = {"example.com/x"};
  cluster.create(kube::kConfigMap, map);
  cluster.remove(kube::kConfigMap, map.key());
  EXPECT_TRUE(cluster.get(kube::kConfigMap, map.key())->is_deleted());
  cluster.patch(kube::kConfigMap, map.key(), {{"metadata", {{"finalizers", nullptr}}}});
  EXPECT_FALSE(cluster.get(kube::kConfigMap, map.key()));
}

TEST(MemoryCluster, CollectsTheChildrenOfWhatIsGone) {
  MemoryCluster cluster;
  const Object owner = cluster.create(kube::kModelDeployment, Object(kube::kModelDeployment, {"default", "m"}));
  Object child = pod("a");
  child.json()["metadata"]["ownerReferences"] = Json::array({kube::controller_reference(owner)});
  cluster.create(kube::kPod, child);
  cluster.remove(kube::kModelDeployment, owner.key());
  EXPECT_FALSE(cluster.get(kube::kPod, child.key()));
}

TEST(MemoryCluster, ShowsWatchesWhatEntersAndLeavesTheirSelector) {
  MemoryCluster cluster;
  const Object before = cluster.create(kube::kPod, pod("a"));
  const Json labelled = {{"metadata", {{"labels", {{"app", "x"}}}}}};
  cluster.patch(kube::kPod, before.key(), labelled);
  cluster.patch(kube::kPod, before.key(), {{"spec", {{"x", 1}}}});
  cluster.patch(kube::kPod, before.key(), {{"metadata", {{"labels", {{"app", "y"}}}}}});
  kube::WatchOptions options;
  options.label_selector = "app=x";
  options.resource_version = before.resource_version();
  options.timeout = std::chrono::seconds(0);
  std::vector<kube::EventType> types;
  const auto outcome =
      cluster.watch(kube::kPod, options, [&](kube::WatchEvent&& event) { types.push_back(event.type); }, {});
  EXPECT_EQ(outcome.end, kube::WatchEnd::kClosed);
  EXPECT_THAT(types, ::testing::ElementsAre(kube::EventType::kAdded, kube::EventType::kModified,
                                            kube::EventType::kDeleted, kube::EventType::kBookmark));
}

TEST(MemoryCluster, FeedsAnInformer) {
  MemoryCluster cluster;
  cluster.create(kube::kPod, pod("a"));
  kube::Informer informer(cluster, {kube::kPod, "", "", {}, 1}, [](const kube::Change&) {});
  ASSERT_TRUE(informer.wait_synced(std::chrono::seconds(10)));
  cluster.create(kube::kPod, pod("b"));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (informer.store().size() < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_EQ(informer.store().size(), 2U);
}

TEST(MemoryCluster, EvictsWithinTheDisruptionBudget) {
  MemoryCluster cluster;
  const Json labels = {{"app", "x"}};
  for (const char* name : {"a", "b"}) {
    Object labelled = pod(name);
    labelled.json()["metadata"]["labels"] = labels;
    cluster.create(kube::kPod, labelled);
    cluster.patch(kube::kPod, {"default", name},
                  {{"status", {{"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}}}, {"status"});
  }
  Object budget(kube::kPodDisruptionBudget, {"default", "x"});
  budget.json()["spec"] = {{"minAvailable", 1}, {"selector", {{"matchLabels", labels}}}};
  cluster.create(kube::kPodDisruptionBudget, budget);
  EXPECT_EQ(cluster.evict({"default", "a"}, std::nullopt), kube::Eviction::kEvicted);
  EXPECT_EQ(cluster.evict({"default", "b"}, std::nullopt), kube::Eviction::kBlocked);
  EXPECT_EQ(cluster.evict({"default", "c"}, std::nullopt), kube::Eviction::kNotFound);
}

}  // namespace
}  // namespace millrace::controller::local
