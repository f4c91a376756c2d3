// The contract of reads and of ends: lists, watches, deletion, owners, evictions.
#include <algorithm>

#include "tests/operator/kube/client_contract.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using ::testing::ElementsAre;

std::vector<std::string> names(const ListResult& list) {
  std::vector<std::string> result;
  for (const Object& object : list.items) result.push_back(object.label("n").value_or(""));
  return result;
}

std::vector<EventType> types(const std::vector<WatchEvent>& events) {
  std::vector<EventType> result;
  for (const WatchEvent& event : events) result.push_back(event.type);
  return result;
}

TEST_P(ClientContract, ListsBySelectors) {
  for (int i = 0; i < 5; ++i) {
    Object object = config_map(std::to_string(i));
    object.json()["metadata"]["labels"] = {{"set", "listed"}, {"n", std::to_string(i)}};
    if (i > 2) object.json()["metadata"]["labels"]["big"] = "yes";
    client().create(kConfigMap, object);
  }
  const auto listed = [&](const std::string& selector) {
    return names(client().list(kConfigMap, {.ns = "default", .label_selector = selector, .page_size = 2}));
  };
  EXPECT_THAT(listed("set=listed"), ElementsAre("0", "1", "2", "3", "4"));
  EXPECT_THAT(listed("set=listed,n in (1,4)"), ElementsAre("1", "4"));
  EXPECT_THAT(listed("set=listed,n notin (1,4),!big"), ElementsAre("0", "2"));
  EXPECT_THAT(listed("set==listed,big!=yes"), ElementsAre("0", "1", "2"));
  EXPECT_THAT(listed("big"), ElementsAre("3", "4"));
  EXPECT_THAT(names(client().list(kConfigMap, {.field_selector = "metadata.name=" + key("3").name})), ElementsAre("3"));
  EXPECT_EQ(code_of([&] { listed("set in"); }), Code::kInvalidArgument);
  const ListResult list = client().list(kConfigMap, {.label_selector = "set=listed"});
  EXPECT_EQ(list.items[0].kind(), "ConfigMap");
  EXPECT_EQ(list.items[0].api_version(), "v1");
}

TEST_P(ClientContract, WatchesFromAListWithoutAGap) {
  client().create(kConfigMap, config_map("before"));
  const std::string version = client().list(kConfigMap, {.ns = "default"}).resource_version;
  client().create(kConfigMap, config_map("", {{"k", "1"}}));
  client().patch(kConfigMap, key(), {{"data", {{"k", "2"}}}});
  const Object last = *client().get(kConfigMap, key());
  client().remove(kConfigMap, key());
  const auto events = watched(kConfigMap, {.resource_version = version}, [](const auto& e) { return e.size() == 3; });
  EXPECT_THAT(types(events), ElementsAre(EventType::kAdded, EventType::kModified, EventType::kDeleted));
  EXPECT_EQ(events[2].object.at("/data/k"), "2") << "the last state";
  EXPECT_NE(events[2].object.resource_version(), last.resource_version()) << "and the version of its end";
}

TEST_P(ClientContract, ShowsWatchesWhatEntersAndLeavesTheirSelector) {
  const Object before = client().create(kConfigMap, config_map(""));
  const auto label = [](const char* value) { return Json{{"metadata", {{"labels", {{"enters", value}}}}}}; };
  client().patch(kConfigMap, key(), label("yes"));
  client().patch(kConfigMap, key(), {{"data", {{"k", "1"}}}});
  client().patch(kConfigMap, key(), label("no"));
  const auto events =
      watched(kConfigMap, {.label_selector = "enters=yes", .resource_version = before.resource_version()},
              [](const auto& e) { return e.size() == 3; });
  EXPECT_THAT(types(events), ElementsAre(EventType::kAdded, EventType::kModified, EventType::kDeleted));
  EXPECT_EQ(events[2].object.label("enters"), "yes") << "as the selector last saw it";
}

TEST_P(ClientContract, ExpiresAWatchFromAVersionItNoLongerHas) {
  const std::string old = client().create(kConfigMap, config_map("")).resource_version();
  lose_history(key());
  WatchOutcome outcome;
  EXPECT_TRUE(eventually([&] {
    outcome = client().watch(kConfigMap, {.ns = "default", .resource_version = old, .timeout = std::chrono::seconds(1)},
                             [](WatchEvent&&) {}, {});
    return outcome.end == WatchEnd::kExpired;
  }));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), Code::kGone);
}

TEST_P(ClientContract, RemovesOnlyTheIncarnationItMeans) {
  const Object first = client().create(kConfigMap, config_map(""));
  const Object object = client().patch(kConfigMap, key(), {{"data", {{"k", "v"}}}});
  EXPECT_EQ(code_of([&] { client().remove(kConfigMap, key(), {.uid = "another"}); }), Code::kConflict);
  EXPECT_EQ(code_of([&] { client().remove(kConfigMap, key(), {.resource_version = first.resource_version()}); }),
            Code::kConflict);
  EXPECT_TRUE(client().remove(kConfigMap, key(), {.uid = object.uid(), .resource_version = object.resource_version()}));
  EXPECT_FALSE(client().remove(kConfigMap, key()));
}

TEST_P(ClientContract, WaitsForFinalizers) {
  Object object = deployment("");
  object.json()["metadata"]["finalizers"] = {"example.com/hold"};
  client().create(kModelDeployment, object);
  EXPECT_TRUE(client().remove(kModelDeployment, key()));
  const Object leaving = *client().get(kModelDeployment, key());
  EXPECT_TRUE(leaving.is_deleted());
  EXPECT_EQ(leaving.generation(), 2) << "a deletion is a change of what is wanted";
  EXPECT_TRUE(client().remove(kModelDeployment, key()));
  client().patch(kModelDeployment, key(), {{"metadata", {{"finalizers", nullptr}}}});
  EXPECT_FALSE(client().get(kModelDeployment, key()));
}

TEST_P(ClientContract, GivesPodsOnNodesTheirGrace) {
  Object patient = pod("", "node-x");
  patient.json()["spec"]["terminationGracePeriodSeconds"] = 60;
  client().create(kPod, patient);
  EXPECT_TRUE(client().remove(kPod, key()));
  EXPECT_EQ(client().get(kPod, key())->int_at("/metadata/deletionGracePeriodSeconds"), 60);
  EXPECT_TRUE(client().remove(kPod, key(), {.grace_period = 5}));
  EXPECT_EQ(client().get(kPod, key())->int_at("/metadata/deletionGracePeriodSeconds"), 5);
  EXPECT_TRUE(client().remove(kPod, key(), {.grace_period = 50}));
  EXPECT_EQ(client().get(kPod, key())->int_at("/metadata/deletionGracePeriodSeconds"), 5) << "never longer";
  EXPECT_TRUE(client().remove(kPod, key(), {.grace_period = 0}));
  EXPECT_FALSE(client().get(kPod, key()));
}

TEST_P(ClientContract, RemovesPodsThatNeverRanOrHaveEndedAtOnce) {
  EXPECT_EQ(client().create(kPod, pod("unbound")).string_at("/status/phase"), "Pending");
  client().remove(kPod, key("unbound"));
  EXPECT_FALSE(client().get(kPod, key("unbound")));
  client().create(kPod, pod("ended", "node-x"));
  client().patch(kPod, key("ended"), {{"status", {{"phase", "Failed"}}}}, {"status"});
  client().remove(kPod, key("ended"));
  EXPECT_FALSE(client().get(kPod, key("ended")));
}

TEST_P(ClientContract, CollectsWhatHasNoOwnerLeft) {
  if (!collects_garbage())
    GTEST_SKIP() << "needs kube-controller-manager, which scripts/cluster-tools.sh --nodes builds";
  const Object one = client().create(kModelDeployment, deployment("one"));
  const Object two = client().create(kModelDeployment, deployment("two"));
  client().create(kConfigMap, owned(config_map("of-one"), one));
  Object shared = owned(config_map("of-both"), one);
  Json second = controller_reference(two);
  second["controller"] = false;
  shared.json()["metadata"]["ownerReferences"].push_back(second);
  client().create(kConfigMap, shared);
  client().remove(kModelDeployment, key("one"));
  EXPECT_TRUE(eventually([&] { return !client().get(kConfigMap, key("of-one")); }));
  EXPECT_TRUE(eventually([&] { return client().get(kConfigMap, key("of-both"))->owners().size() == 1; }));
  client().remove(kModelDeployment, key("two"));
  EXPECT_TRUE(eventually([&] { return !client().get(kConfigMap, key("of-both")); }));
  client().create(kConfigMap, owned(config_map("late"), one));
  EXPECT_TRUE(eventually([&] { return !client().get(kConfigMap, key("late")); })) << "born without an owner";
}

TEST_P(ClientContract, EvictsWithinTheDisruptionBudget) {
  if (!collects_garbage())
    GTEST_SKIP() << "needs kube-controller-manager, which scripts/cluster-tools.sh --nodes builds";
  const Json labels = {{"app", key().name}};
  for (const char* suffix : {"a", "b"}) {
    Object guarded = pod(suffix, "node-x");
    guarded.json()["metadata"]["labels"] = labels;
    client().create(kPod, guarded);
    client().patch(kPod, key(suffix),
                   {{"status", {{"phase", "Running"}, {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}}},
                   {"status"});
  }
  Object budget(kPodDisruptionBudget, key());
  budget.json()["spec"] = {{"minAvailable", 1}, {"selector", {{"matchLabels", labels}}}};
  client().create(kPodDisruptionBudget, budget);
  EXPECT_TRUE(eventually([&] { return client().evict(key("a"), 0) == Eviction::kEvicted; }));
  EXPECT_EQ(client().evict(key("b"), 0), Eviction::kBlocked);
  EXPECT_EQ(client().evict(key("c"), 0), Eviction::kNotFound);
}

}  // namespace
}  // namespace millrace::controller::kube
