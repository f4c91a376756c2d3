#include "operator/kube/object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::controller::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

Object full_pod() {
  return Object(parse_document(R"({"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"a","name":"b","uid":"u",
    "resourceVersion":"7","generation":3,"deletionTimestamp":"2026-01-02T03:04:05Z","labels":{"x":"1","y":"2"},
    "finalizers":["millrace.dev/drain"],
    "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","keep":"me"},"managedFields":[{}],
    "ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n","uid":"n1"},
                       {"apiVersion":"millrace.dev/v1alpha1","kind":"ModelDeployment","name":"m","uid":"m1","controller":true}]},
    "spec":{"replicas":2,"name":"s"}})"));
}

TEST(Object, ReadsItsMetadata) {
  const Object pod = full_pod();
  EXPECT_EQ(pod.key(), (ObjectKey{"a", "b"}));
  EXPECT_EQ(to_string(pod.key()), "a/b");
  EXPECT_EQ(pod.uid(), "u");
  EXPECT_EQ(pod.resource_version(), "7");
  EXPECT_EQ(pod.generation(), 3);
  EXPECT_TRUE(pod.is_deleted());
  EXPECT_TRUE(pod.has_finalizer("millrace.dev/drain"));
  EXPECT_THAT(pod.labels(), ElementsAre(Pair("x", "1"), Pair("y", "2")));
  EXPECT_EQ(pod.controller_owner()->name, "m");
  EXPECT_EQ(pod.owners().size(), 2U);
  EXPECT_EQ(pod.int_at("/spec/replicas"), 2);
  EXPECT_EQ(pod.string_at("/spec/name"), "s");
  EXPECT_TRUE(pod.at("/spec/absent/deep").is_null());
}

TEST(Object, ReadsWrongTypesAsEmpty) {
  for (const char* text :
       {"null", "[]", "3", R"({"metadata":null})", R"({"metadata":[]})",
        R"({"metadata":{"name":3,"labels":[],"uid":{},"generation":"x","ownerReferences":{},"finalizers":3}})",
        R"({"metadata":{"labels":{"a":1},"ownerReferences":[null,3]}})"}) {
    const Object object(parse_document(text));
    EXPECT_EQ(object.name(), "") << text;
    EXPECT_EQ(object.generation(), 0) << text;
    EXPECT_FALSE(object.is_deleted()) << text;
    EXPECT_TRUE(object.labels().empty()) << text;
    EXPECT_FALSE(object.controller_owner()) << text;
    EXPECT_FALSE(object.has_finalizer("f")) << text;
    EXPECT_FALSE(object.int_at("/spec/replicas")) << text;
  }
}

TEST(Object, LosesItsBookkeepingAndNothingElse) {
  Object pod = full_pod();
  strip_bookkeeping(pod);
  EXPECT_FALSE(pod.json()["metadata"].contains("managedFields"));
  EXPECT_EQ(pod.json()["metadata"]["annotations"], Json({{"keep", "me"}}));
  EXPECT_EQ(pod.int_at("/spec/replicas"), 2);
}

TEST(Object, IsBuiltWithKindAndNames) {
  EXPECT_EQ(Object(kModelDeployment, {"a", "b"}).json(), Json({{"apiVersion", "millrace.dev/v1alpha1"},
                                                               {"kind", "ModelDeployment"},
                                                               {"metadata", {{"name", "b"}, {"namespace", "a"}}}}));
  EXPECT_EQ(Object(kNode, {"", "n"}).json(),
            Json({{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", "n"}}}}));
}

TEST(ParseDocument, RefusesNestingThatWouldOverflowAStack) {
  EXPECT_TRUE(parse_document(std::string(50, '[') + std::string(50, ']')).is_array());
  EXPECT_TRUE(parse_document(std::string(1'000'000, '[')).is_discarded());
  EXPECT_TRUE(parse_document(R"({"a":"[[[[\"[[[["})").is_object());
}

}  // namespace
}  // namespace millrace::controller::kube
