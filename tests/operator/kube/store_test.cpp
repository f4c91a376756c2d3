#include "operator/kube/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::controller::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Object pod(const std::string& name, const std::string& version, const std::string& group = "",
           const std::string& uid = "") {
  Object object(kPod, {"ns", name});
  Json& metadata = object.json()["metadata"];
  metadata["resourceVersion"] = version;
  metadata["uid"] = uid.empty() ? "uid-" + name : uid;
  if (!group.empty()) metadata["labels"] = {{"group", group}};
  return object;
}

std::vector<std::string> names(const std::vector<ObjectPtr>& objects) {
  std::vector<std::string> all;
  for (const ObjectPtr& object : objects) all.push_back(object->name());
  return all;
}

std::vector<std::string> summary(const std::vector<Change>& changes) {
  std::vector<std::string> all;
  for (const Change& change : changes) {
    const char mark = change.type == Change::Type::kAdded ? '+' : change.type == Change::Type::kDeleted ? '-' : '~';
    all.push_back(mark + change.object().name());
  }
  return all;
}

TEST(Store, SaysWhatEachWriteChanged) {
  Store store;
  EXPECT_THAT(summary(store.put(pod("a", "1"))), ElementsAre("+a"));
  EXPECT_THAT(summary(store.put(pod("a", "1"))), IsEmpty());
  EXPECT_THAT(summary(store.put(pod("a", "2"))), ElementsAre("~a"));
  EXPECT_THAT(summary(store.remove({"ns", "a"})), ElementsAre("-a"));
  EXPECT_THAT(summary(store.remove({"ns", "a"})), IsEmpty());
}

TEST(Store, KeepsOnlyWhatAListHas) {
  Store store;
  for (const char* name : {"gone", "here", "lost"}) store.put(pod(name, "1"));
  const auto changes = store.keep_only({{"ns", "here"}, {"ns", "new"}});
  EXPECT_THAT(summary(changes), ElementsAre("-gone", "-lost"));
  for (const Change& change : changes) EXPECT_TRUE(change.from_list);
  EXPECT_THAT(names(store.list()), ElementsAre("here"));
}

TEST(Store, TakesAListObjectByObject) {
  Store store;
  for (const auto& [name, version] : {std::pair{"gone", "1"}, {"same", "2"}, {"changed", "3"}}) {
    EXPECT_FALSE(store.put(pod(name, version)).at(0).from_list);
  }
  std::vector<Change> changes;
  const auto add = [&](const std::vector<Change>& more) { changes.insert(changes.end(), more.begin(), more.end()); };
  for (const auto& [name, version] : {std::pair{"same", "2"}, {"changed", "4"}, {"new", "5"}}) {
    add(store.put(pod(name, version), true));
  }
  add(store.keep_only({{"ns", "same"}, {"ns", "changed"}, {"ns", "new"}}));
  EXPECT_THAT(summary(changes), ElementsAre("~changed", "+new", "-gone"));
  for (const Change& change : changes) EXPECT_TRUE(change.from_list);
  EXPECT_THAT(names(store.list()), ElementsAre("changed", "new", "same"));
}

TEST(Store, ReportsAnotherIncarnationAsDeletedAndAdded) {
  Store store;
  store.put(pod("a", "1", "g", "first"));
  const auto changes = store.put(pod("a", "9", "g", "second"));
  EXPECT_THAT(summary(changes), ElementsAre("-a", "+a"));
  EXPECT_EQ(changes[0].before->uid(), "first");
  EXPECT_EQ(store.get({"ns", "a"})->uid(), "second");
}

TEST(Store, FindsByLabelWhileLabelsChange) {
  Store store({"group"});
  store.put(pod("a", "1", "g1"));
  store.put(pod("b", "2", "g1"));
  store.put(pod("c", "3", "g2"));
  EXPECT_THAT(names(store.with_label("group", "g1")), ElementsAre("a", "b"));
  store.put(pod("a", "4", "g2"));
  store.remove({"ns", "b"});
  EXPECT_THAT(names(store.with_label("group", "g1")), IsEmpty());
  EXPECT_THAT(names(store.with_label("group", "g2")), ElementsAre("a", "c"));
}

TEST(Store, PackedObjectsComeBackAsTheyWere) {
  Store store({"group"}, StoreForm::kPacked);
  Object object = pod("a", "1", "g");
  object.json()["spec"] = {{"numbers", {0, -1, 1'000'000'000'000, 0.1, 1.5, -0.0}},
                           {"text", "\xc3\xa4\n\"\\"},
                           {"nothing", nullptr},
                           {"empty", {{"list", Json::array()}, {"object", Json::object()}, {"text", ""}}},
                           {"yes", true}};
  store.put(object);
  EXPECT_EQ(*store.get({"ns", "a"}), object);
  EXPECT_EQ(store.get({"ns", "a"})->json().dump(), object.json().dump());
  EXPECT_EQ(*store.with_label("group", "g").at(0), object);
  EXPECT_EQ(*store.list().at(0), object);
}

TEST(Store, PackedObjectsAreComparedAndIndexedAsOthers) {
  Store store({"group"}, StoreForm::kPacked);
  store.put(pod("a", "1", "g1"));
  EXPECT_THAT(summary(store.put(pod("a", "1", "g1"))), IsEmpty());
  const auto changes = store.put(pod("a", "2", "g2"));
  EXPECT_THAT(summary(changes), ElementsAre("~a"));
  EXPECT_EQ(changes[0].before->resource_version(), "1");
  EXPECT_THAT(names(store.with_label("group", "g1")), IsEmpty());
  EXPECT_THAT(summary(store.put(pod("a", "3", "g2", "another"))), ElementsAre("-a", "+a"));
  EXPECT_THAT(summary(store.keep_only({})), ElementsAre("-a"));
  EXPECT_THAT(store.with_label("group", "g2"), IsEmpty());
}

TEST(Store, ShowsOneObjectAfterAnother) {
  Store store({}, StoreForm::kPacked);
  store.put(pod("b", "1"));
  store.put(pod("a", "2"));
  std::vector<std::string> seen;
  store.for_each([&](const Object& object) {
    seen.push_back(object.name());
    store.remove({"ns", "b"});  // what goes meanwhile is not shown
  });
  EXPECT_THAT(seen, ElementsAre("a"));
}

TEST(Store, CountsItsChanges) {
  Store store;
  store.put(pod("a", "1"));
  const std::uint64_t changes = store.changes();
  store.put(pod("a", "1"));
  EXPECT_EQ(store.changes(), changes);
  store.put(pod("a", "2"));
  EXPECT_GT(store.changes(), changes);
}

TEST(Store, ListsOneNamespace) {
  Store store;
  store.put(pod("a", "1"));
  Object other = pod("b", "2");
  other.json()["metadata"]["namespace"] = "ns2";
  store.put(other);
  EXPECT_THAT(names(store.list("ns")), ElementsAre("a"));
  EXPECT_THAT(store.list("absent"), IsEmpty());
}

TEST(Store, DropsManagedFields) {
  Store store;
  Object object = pod("a", "1");
  object.json()["metadata"]["managedFields"] = Json::array({1, 2});
  store.put(object);
  EXPECT_FALSE(store.get({"ns", "a"})->json()["metadata"].contains("managedFields"));
}

TEST(Store, IgnoresAnObjectWithoutAName) {
  Store store;
  EXPECT_THAT(store.put(Object()), IsEmpty());
  EXPECT_EQ(store.size(), 0U);
}

}  // namespace
}  // namespace millrace::controller::kube
