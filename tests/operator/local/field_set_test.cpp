#include "operator/local/field_set.h"

#include <gtest/gtest.h>

#include "common/error.h"

namespace millrace::controller::local {
namespace {

using kube::Json;

TEST(FieldOwners, RemovesWhatItsManagerNoLongerWants) {
  FieldOwners owners;
  Json object = Json::object();
  owners.apply(object, {{"spec", {{"a", 1}, {"b", 2}}}}, {"m"}, true);
  owners.apply(object, {{"spec", {{"a", 1}}}}, {"m"}, true);
  EXPECT_EQ(object, Json({{"spec", {{"a", 1}}}}));
}

TEST(FieldOwners, KeepsFieldsOfOthers) {
  FieldOwners owners;
  Json object = {{"spec", {{"theirs", 1}}}};
  owners.apply(object, {{"spec", {{"mine", 1}, {"shared", 1}}}}, {"m"}, true);
  owners.apply(object, {{"spec", {{"shared", 1}}}}, {"n"}, false);
  owners.apply(object, {{"spec", {{"mine", 2}}}}, {"m"}, true);
  EXPECT_EQ(object, Json({{"spec", {{"theirs", 1}, {"mine", 2}, {"shared", 1}}}}));
}

TEST(FieldOwners, RefusesToTakeAFieldWithoutForce) {
  FieldOwners owners;
  Json object = Json::object();
  owners.apply(object, {{"a", 1}}, {"m"}, true);
  EXPECT_THROW(owners.apply(object, {{"a", 2}}, {"n"}, false), common::Error);
  EXPECT_EQ(object["a"], 1);
  owners.apply(object, {{"a", 2}}, {"n"}, true);
  owners.apply(object, {{"b", 1}}, {"m"}, true);
  EXPECT_EQ(object, Json({{"a", 2}, {"b", 1}})) << "it belongs to the one who took it";
}

TEST(FieldOwners, MergesConditionsByType) {
  FieldOwners owners;
  Json object = Json::object();
  const Json ready = {{"conditions", {{{"type", "Ready"}, {"status", "True"}}}}};
  const Json gate = {{"conditions", {{{"type", "Gate"}, {"status", "True"}}}}};
  owners.apply(object, ready, {"node"}, true);
  owners.apply(object, gate, {"operator"}, true);
  ASSERT_EQ(object["conditions"].size(), 2U);
  owners.apply(object, Json::object(), {"operator"}, true);
  EXPECT_EQ(object, ready);
}

TEST(FieldOwners, RemovesAWholeItemWhoseKeyIsNoLongerWanted) {
  FieldOwners owners;
  Json object = Json::object();
  owners.apply(object, Json::parse(R"({"ports":[{"name":"http","port":8000,"protocol":"TCP"}]})"), {"m"}, true);
  owners.apply(object, Json::parse(R"({"ports":[{"name":"http","port":9000,"protocol":"TCP"}]})"), {"m"}, true);
  EXPECT_EQ(object, Json::parse(R"({"ports":[{"name":"http","port":9000,"protocol":"TCP"}]})"));
}

TEST(FieldOwners, ReplacesOtherListsAsAWhole) {
  FieldOwners owners;
  Json object = Json::object();
  owners.apply(object, {{"args", {"a", "b"}}}, {"m"}, true);
  owners.apply(object, {{"args", {"c"}}}, {"m"}, true);
  EXPECT_EQ(object["args"], Json::array({"c"}));
}

}  // namespace
}  // namespace millrace::controller::local
