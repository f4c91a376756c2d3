// The contract of writes: create, server-side apply, patch, subresources.
#include "tests/operator/kube/client_contract.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using ::testing::HasSubstr;

TEST_P(ClientContract, CreatesOnce) {
  const Object created = client().create(kConfigMap, config_map("", {{"k", "v"}}));
  EXPECT_FALSE(created.uid().empty());
  EXPECT_FALSE(created.resource_version().empty());
  EXPECT_TRUE(created.creation_timestamp());
  EXPECT_EQ(created.kind(), "ConfigMap");
  EXPECT_EQ(client().get(kConfigMap, key())->at("/data"), Json({{"k", "v"}}));
  EXPECT_EQ(code_of([&] { client().create(kConfigMap, config_map("")); }), Code::kAlreadyExists);
}

TEST_P(ClientContract, CompletesAGeneratedName) {
  Object nameless = config_map("");
  nameless.json()["metadata"].erase("name");
  nameless.json()["metadata"]["generateName"] = "made-";
  const Object first = client().create(kConfigMap, nameless);
  const Object second = client().create(kConfigMap, nameless);
  EXPECT_TRUE(first.name().starts_with("made-") && first.name() != "made-") << first.name();
  EXPECT_NE(first.name(), second.name());
}

TEST_P(ClientContract, RefusesToCreateWhatHasAVersion) {
  Object versioned = config_map("");
  versioned.json()["metadata"]["resourceVersion"] = "1";
  EXPECT_TRUE(error_of([&] { client().create(kConfigMap, versioned); }));
}

TEST_P(ClientContract, PatchesByMerging) {
  client().create(kConfigMap, config_map("", {{"a", "1"}, {"b", "1"}}));
  const Object patched = client().patch(kConfigMap, key(), {{"data", {{"a", nullptr}, {"c", "1"}}}});
  EXPECT_EQ(patched.at("/data"), Json({{"b", "1"}, {"c", "1"}}));
  EXPECT_EQ(code_of([&] { client().patch(kConfigMap, key("absent"), Json::object()); }), Code::kNotFound);
}

TEST_P(ClientContract, PatchesOnlyTheVersionItMeans) {
  const Object first = client().create(kConfigMap, config_map("", {{"n", "1"}}));
  const Object second = client().patch(kConfigMap, key(), {{"data", {{"n", "2"}}}});
  const auto from = [](const Object& object) {
    return Json{{"metadata", {{"resourceVersion", object.resource_version()}}}, {"data", {{"n", "3"}}}};
  };
  EXPECT_EQ(code_of([&] { client().patch(kConfigMap, key(), from(first)); }), Code::kConflict);
  EXPECT_EQ(client().patch(kConfigMap, key(), from(second)).at("/data/n"), "3");
}

TEST_P(ClientContract, CountsGenerationsOfTheSpecOnly) {
  EXPECT_EQ(client().create(kModelDeployment, deployment("")).generation(), 1);
  const Json note = {{"metadata", {{"annotations", {{"example.com/note", "x"}}}}}};
  EXPECT_EQ(client().patch(kModelDeployment, key(), note).generation(), 1);
  EXPECT_EQ(client().patch(kModelDeployment, key(), {{"status", {{"replicas", 3}}}}, {"status"}).generation(), 1);
  EXPECT_EQ(client().patch(kModelDeployment, key(), {{"spec", {{"replicas", 1}}}}).generation(), 1);
  EXPECT_EQ(client().patch(kModelDeployment, key(), {{"spec", {{"replicas", 2}}}}).generation(), 2);
}

TEST_P(ClientContract, KeepsSpecAndStatusApart) {
  Object with_status = deployment("");
  with_status.json()["status"] = {{"replicas", 7}};
  EXPECT_FALSE(client().create(kModelDeployment, with_status).int_at("/status/replicas"));
  Json both = {{"spec", {{"replicas", 2}}}, {"status", {{"replicas", 2}}}};
  Object stored = client().patch(kModelDeployment, key(), both);
  EXPECT_EQ(stored.int_at("/spec/replicas"), 2);
  EXPECT_FALSE(stored.int_at("/status/replicas"));
  both["spec"]["replicas"] = 3;
  stored = client().patch(kModelDeployment, key(), both, {"status"});
  EXPECT_EQ(stored.int_at("/spec/replicas"), 2);
  EXPECT_EQ(stored.int_at("/status/replicas"), 2);
}

TEST_P(ClientContract, ScalesThroughTheSubresource) {
  client().create(kModelDeployment, deployment(""));
  client().patch(kModelDeployment, key(), {{"status", {{"replicas", 1}, {"selector", "a=b"}}}}, {"status"});
  const Object scale = client().patch(kModelDeployment, key(), {{"spec", {{"replicas", 3}}}}, {"scale"});
  EXPECT_EQ(scale.kind(), "Scale");
  EXPECT_EQ(scale.int_at("/spec/replicas"), 3);
  EXPECT_EQ(scale.int_at("/status/replicas"), 1);
  EXPECT_EQ(scale.string_at("/status/selector"), "a=b");
  const Object stored = *client().get(kModelDeployment, key());
  EXPECT_EQ(stored.int_at("/spec/replicas"), 3);
  EXPECT_EQ(stored.generation(), 2);
  EXPECT_EQ(stored.string_at("/spec/model/name"), "m");
}

TEST_P(ClientContract, AppliesWhatIsNotThereYet) {
  const Object applied = client().apply(kConfigMap, config_map("", {{"k", "v"}}));
  EXPECT_EQ(client().get(kConfigMap, key())->uid(), applied.uid());
  EXPECT_EQ(code_of([&] { client().apply(kModelDeployment, deployment("absent"), {.subresource = "status"}); }),
            Code::kNotFound);
}

TEST_P(ClientContract, AppliesEachWhateverBecomesOfTheOthers) {
  const Object stored = client().apply(kConfigMap, config_map("", {{"k", "0"}}));
  std::vector<ApplyRequest> requests{{config_map("absent", {{"k", "1"}})}};
  requests.front().object.json()["metadata"]["uid"] = stored.uid();
  for (int i = 0; i < 10; ++i) requests.push_back({config_map(std::to_string(i), {{"k", "1"}})});
  requests.push_back({config_map("", {{"k", "2"}}), {.field_manager = "someone"}});
  const std::vector<std::exception_ptr> errors = client().apply_each(kConfigMap, requests);
  ASSERT_EQ(errors.size(), requests.size());
  EXPECT_EQ(code_of([&] { std::rethrow_exception(errors.front()); }), Code::kConflict);
  EXPECT_EQ(std::count(errors.begin(), errors.end(), nullptr), 11);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(client().get(kConfigMap, key(std::to_string(i)))->at("/data/k"), "1");
  EXPECT_EQ(client().get(kConfigMap, key())->at("/data/k"), "2");
  EXPECT_TRUE(client().apply_each(kConfigMap, {}).empty());
}

TEST_P(ClientContract, DoesNotWriteWhenAnApplyChangesNothing) {
  const Object first = client().apply(kConfigMap, config_map("", {{"k", "v"}}));
  EXPECT_EQ(client().apply(kConfigMap, config_map("", {{"k", "v"}})).resource_version(), first.resource_version());
}

TEST_P(ClientContract, RemovesWhatAManagerNoLongerApplies) {
  client().apply(kConfigMap, config_map("", {{"ours", "1"}, {"more", "1"}}));
  client().apply(kConfigMap, config_map("", {{"theirs", "1"}}), {.field_manager = "someone"});
  EXPECT_EQ(client().apply(kConfigMap, config_map("", {{"ours", "2"}})).at("/data"),
            Json({{"ours", "2"}, {"theirs", "1"}}));
  EXPECT_EQ(client().apply(kConfigMap, config_map("")).at("/data"), Json({{"theirs", "1"}}));
}

TEST_P(ClientContract, KeepsWhatAnotherManagerAppliesToo) {
  client().apply(kConfigMap, config_map("", {{"both", "1"}}));
  client().apply(kConfigMap, config_map("", {{"both", "1"}}), {.force = false, .field_manager = "someone"});
  EXPECT_EQ(client().apply(kConfigMap, config_map("")).at("/data"), Json({{"both", "1"}}));
}

TEST_P(ClientContract, NamesTheManagerOfAContestedFieldUnlessForced) {
  client().apply(kConfigMap, config_map("", {{"k", "theirs"}}), {.field_manager = "someone"});
  const auto error = error_of([&] { client().apply(kConfigMap, config_map("", {{"k", "ours"}}), {.force = false}); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::kConflict);
  EXPECT_THAT(error->what(), HasSubstr("conflict with \"someone\""));
  EXPECT_THAT(error->what(), HasSubstr(".data.k"));
  EXPECT_EQ(client().apply(kConfigMap, config_map("", {{"k", "ours"}})).at("/data/k"), "ours");
  const ApplyOptions gently{.force = false, .field_manager = "someone"};
  EXPECT_EQ(code_of([&] { client().apply(kConfigMap, config_map("", {{"k", "theirs"}}), gently); }), Code::kConflict);
}

TEST_P(ClientContract, LeavesWhatAPatchHasChanged) {
  client().apply(kConfigMap, config_map("", {{"k", "applied"}, {"l", "applied"}}), {.field_manager = "someone"});
  client().patch(kConfigMap, key(), {{"data", {{"k", "patched"}}}});
  const ApplyOptions gently{.force = false, .field_manager = "someone"};
  EXPECT_EQ(code_of([&] { client().apply(kConfigMap, config_map("", {{"k", "applied"}}), gently); }), Code::kConflict);
  const Object dropped = client().apply(kConfigMap, config_map(""), gently);
  EXPECT_EQ(dropped.at("/data"), Json({{"k", "patched"}}));
}

TEST_P(ClientContract, DoesNotTakeWhatItsOwnPatchWroteForApplied) {
  client().apply(kConfigMap, config_map("", {{"k", "v"}}));
  client().patch(kConfigMap, key(), {{"metadata", {{"annotations", {{"example.com/since", "now"}}}}}});
  EXPECT_EQ(client().apply(kConfigMap, config_map("", {{"k", "w"}})).annotation("example.com/since"), "now");
}

TEST_P(ClientContract, AppliesSpecAndStatusUnderOneName) {
  client().apply(kModelDeployment, deployment(""));
  Object status(kModelDeployment, key());
  status.json()["status"] = {{"replicas", 1}, {"readyReplicas", 1}};
  client().apply(kModelDeployment, status, {.subresource = "status"});
  const Object stored = client().apply(kModelDeployment, deployment("", {{"replicas", 2}}));
  EXPECT_EQ(stored.int_at("/status/readyReplicas"), 1);
  status.json()["status"].erase("readyReplicas");
  EXPECT_EQ(client().apply(kModelDeployment, status, {.subresource = "status"}).at("/status"), Json({{"replicas", 1}}));
}

TEST_P(ClientContract, MergesConditionsOfTwoManagers) {
  client().create(kPod, pod(""));
  const auto with = [&](const char* type, const char* value) {
    Object report(kPod, key());
    report.json()["status"]["conditions"] = Json::array({{{"type", type}, {"status", value}}});
    return report;
  };
  client().apply(kPod, with("example.com/gate", "True"), {.subresource = "status", .field_manager = "router"});
  client().apply(kPod, with("Ready", "True"), {.subresource = "status", .field_manager = "kubelet"});
  const Object stored =
      client().apply(kPod, with("Ready", "False"), {.subresource = "status", .field_manager = "kubelet"});
  std::map<std::string, std::string> conditions;
  for (const Json& condition : stored.at("/status/conditions")) conditions[condition["type"]] = condition["status"];
  EXPECT_EQ(conditions["example.com/gate"], "True");
  EXPECT_EQ(conditions["Ready"], "False");
}

TEST_P(ClientContract, AppliesOnlyToTheIncarnationItMeans) {
  const Object first = client().apply(kConfigMap, config_map("", {{"k", "0"}}));
  const Object stored = client().apply(kConfigMap, config_map("", {{"k", "1"}}));
  Object other = config_map("", {{"k", "2"}});
  other.json()["metadata"]["uid"] = "4b3f1f9e-0000-4000-8000-000000000000";
  EXPECT_EQ(code_of([&] { client().apply(kConfigMap, other); }), Code::kConflict);
  Object absent = config_map("absent", {{"k", "2"}});
  absent.json()["metadata"]["uid"] = stored.uid();
  EXPECT_EQ(code_of([&] { client().apply(kConfigMap, absent); }), Code::kConflict);
  Object stale = config_map("", {{"k", "2"}});
  stale.json()["metadata"]["resourceVersion"] = first.resource_version();
  EXPECT_EQ(code_of([&] { client().apply(kConfigMap, stale); }), Code::kConflict);
  EXPECT_EQ(client().get(kConfigMap, key())->at("/data/k"), "1");
}

TEST_P(ClientContract, WritesStatusOnlyOfTheIncarnationItMeans) {
  client().create(kPod, pod(""));
  Object other(kPod, key());
  other.json()["metadata"]["uid"] = "4b3f1f9e-0000-4000-8000-000000000000";
  other.json()["status"]["message"] = "x";
  EXPECT_EQ(code_of([&] { client().apply(kPod, other, {.subresource = "status"}); }), Code::kConflict);
}

// Of custom resources a server checks the version only, whatever uid is sent.
TEST_P(ClientContract, WritesStatusOnlyOfTheVersionItMeans) {
  const Object first = client().create(kModelDeployment, deployment(""));
  const Object second = client().patch(kModelDeployment, key(), {{"spec", {{"replicas", 2}}}});
  Object status(kModelDeployment, key());
  status.json()["status"]["replicas"] = 1;
  status.json()["metadata"]["resourceVersion"] = first.resource_version();
  EXPECT_EQ(code_of([&] { client().apply(kModelDeployment, status, {.subresource = "status"}); }), Code::kConflict);
  status.json()["metadata"]["resourceVersion"] = second.resource_version();
  EXPECT_EQ(client().apply(kModelDeployment, status, {.subresource = "status"}).int_at("/status/replicas"), 1);
}

}  // namespace
}  // namespace millrace::controller::kube
