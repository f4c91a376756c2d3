#include "operator/local/selector.h"

#include <gtest/gtest.h>

#include "common/error.h"

namespace millrace::controller::local {
namespace {

bool matches(const std::string& selector, const std::map<std::string, std::string>& labels) {
  return LabelSelector(selector).matches(labels);
}

TEST(LabelSelector, KnowsEveryOperator) {
  const std::map<std::string, std::string> labels{{"app", "x"}, {"tier", "web"}};
  EXPECT_TRUE(matches("", labels));
  EXPECT_TRUE(matches("app=x", labels));
  EXPECT_TRUE(matches("app==x,tier=web", labels));
  EXPECT_FALSE(matches("app=x,tier=db", labels));
  EXPECT_TRUE(matches("app!=y", labels));
  EXPECT_TRUE(matches("missing!=y", labels));
  EXPECT_TRUE(matches("app", labels));
  EXPECT_FALSE(matches("!app", labels));
  EXPECT_TRUE(matches("!missing", labels));
  EXPECT_TRUE(matches("app in (x, y), tier notin (db)", labels));
  EXPECT_FALSE(matches("app notin (x,y)", labels));
  EXPECT_TRUE(matches("missing notin (x)", labels));
}

TEST(LabelSelector, RefusesWhatItCannotRead) {
  EXPECT_THROW(LabelSelector("app within (x)"), common::Error);
}

TEST(FieldSelector, ComparesStringsAtPaths) {
  const kube::Object pod(kube::Json{{"spec", {{"nodeName", "n1"}}}});
  EXPECT_TRUE(matches_fields("spec.nodeName=n1", pod));
  EXPECT_FALSE(matches_fields("spec.nodeName!=n1", pod));
  EXPECT_TRUE(matches_fields("status.phase=", pod));
}

}  // namespace
}  // namespace millrace::controller::local
