#include "operator/reconcile/compare.h"

#include <gtest/gtest.h>

namespace millrace::controller {
namespace {

using kube::Json;
using kube::Object;

Object wanted() {
  return with_applied_mark(
      Object(Json{{"metadata", {{"name", "m"}}}, {"spec", {{"type", "ClusterIP"}, {"ports", {{{"port", 8000}}}}}}}));
}

TEST(Compare, AcceptsDefaultsAndFieldsOfOthers) {
  Object stored = wanted();
  stored.json()["spec"]["ports"][0]["nodePort"] = 30000;
  stored.json()["metadata"]["annotations"]["example.com/x"] = "y";
  EXPECT_TRUE(is_as_wanted(wanted(), stored));
}

TEST(Compare, NoticesAChangedField) {
  Object stored = wanted();
  stored.json()["spec"]["ports"][0]["port"] = 1;
  EXPECT_FALSE(is_as_wanted(wanted(), stored));
}

TEST(Compare, NoticesAFieldThatIsNoLongerWanted) {
  Object before(Json{{"spec", {{"type", "ClusterIP"}, {"old", true}}}});
  const Object stored = with_applied_mark(before);
  before.json()["spec"].erase("old");
  EXPECT_FALSE(is_as_wanted(with_applied_mark(before), stored));
}

TEST(Compare, IgnoresTheOrderOfConditionsOnly) {
  const Json a = {{"conditions", {{{"type", "A"}, {"status", "True"}}, {{"type", "B"}, {"status", "True"}}}}};
  const Json b = {{"conditions", {{{"type", "B"}, {"status", "True"}}, {{"type", "A"}, {"status", "True"}}}}};
  const Json c = {{"conditions", {{{"type", "B"}, {"status", "False"}}, {{"type", "A"}, {"status", "True"}}}}};
  EXPECT_TRUE(same_status(a, b));
  EXPECT_FALSE(same_status(a, c));
}

}  // namespace
}  // namespace millrace::controller
