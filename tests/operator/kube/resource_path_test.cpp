#include "operator/kube/resource_path.h"

#include <gtest/gtest.h>

namespace millrace::controller::kube {
namespace {

TEST(ResourcePath, FollowsGroupScopeAndEncoding) {
  EXPECT_EQ(resource_path(kPod, "a", "b", "status"), "/api/v1/namespaces/a/pods/b/status");
  EXPECT_EQ(resource_path(kPod, ""), "/api/v1/pods");
  EXPECT_EQ(resource_path(kNode, "ignored", "n"), "/api/v1/nodes/n");
  EXPECT_EQ(resource_path(kLease, "a", "b"), "/apis/coordination.k8s.io/v1/namespaces/a/leases/b");
  EXPECT_EQ(resource_path(kPod, "a", "../../secrets?x"), "/api/v1/namespaces/a/pods/..%2F..%2Fsecrets%3Fx");
}

TEST(Query, LeavesOutWhatIsEmptyAndEncodesTheRest) {
  EXPECT_EQ(query({}), "");
  EXPECT_EQ(query({{"a", ""}, {"b", "c d"}, {"e", "f=g&h"}}), "?b=c%20d&e=f%3Dg%26h");
}

}  // namespace
}  // namespace millrace::controller::kube
