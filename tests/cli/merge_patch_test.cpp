#include "cli/merge_patch.h"

#include <gtest/gtest.h>

namespace millrace::cli {
namespace {

using Json = controller::kube::Json;

TEST(MergePatch, MakesOneDocumentOfTheOther) {
  const Json from = {{"a", 1}, {"b", {{"c", 2}, {"d", Json::array({1, 2})}}}, {"e", {{"f", 1}}}};
  const Json to = {{"a", 1}, {"b", {{"c", 3}, {"d", Json::array({2})}}}, {"g", "new"}};
  const Json patch = merge_patch_between(from, to);
  EXPECT_EQ(patch, Json({{"b", {{"c", 3}, {"d", Json::array({2})}}}, {"e", nullptr}, {"g", "new"}}));
  Json patched = from;
  patched.merge_patch(patch);
  EXPECT_EQ(patched, to);
}

TEST(MergePatch, IsEmptyForEqualDocuments) {
  EXPECT_TRUE(merge_patch_between({{"a", {{"b", 1}}}}, {{"a", {{"b", 1}}}}).empty());
}

TEST(MergePatch, NamesEachFieldThatDiffers) {
  const auto changes = field_changes({{"a", 1}, {"b", {{"c", 2}}}}, {{"b", {{"c", 3}}}, {"d", 4}}, "spec");
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_EQ(changes[0].path, "spec.a");
  EXPECT_TRUE(changes[0].after.is_null());
  EXPECT_EQ(changes[1].path, "spec.b.c");
  EXPECT_EQ(changes[1].before, 2);
  EXPECT_EQ(changes[1].after, 3);
  EXPECT_EQ(changes[2].path, "spec.d");
}

}  // namespace
}  // namespace millrace::cli
