#include "operator/plan/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using common::AgentPhase;
using testing::GroupBuilder;
using ::testing::HasSubstr;
using testing::kNow;

StatusInput status_input(int replicas, std::vector<GroupView> groups) {
  StatusInput result;
  result.deployment = "m";
  result.generation = 4;
  result.spec.replicas = replicas;
  result.revision = "r1";
  result.observed.groups = std::move(groups);
  return result;
}

Condition condition(const StatusInput& input, const std::string& type) {
  for (const Condition& condition : conditions_of(input)) {
    if (condition.type == type) return condition;
  }
  return {};
}

TEST(Status, IsReadyWhenEveryGroupServes) {
  const StatusInput done = status_input(1, {GroupBuilder().routed().build()});
  EXPECT_EQ(condition(done, "Ready").status, "True");
  EXPECT_EQ(condition(done, "Available").status, "True");
  EXPECT_EQ(condition(done, "Progressing").status, "False");
  EXPECT_EQ(condition(done, "Degraded").status, "False");
  EXPECT_EQ(condition(done, "Reconciling").status, "False");
  EXPECT_EQ(condition(done, "Stalled").status, "False");
}

TEST(Status, NamesTheFirstBlockingCause) {
  GroupBuilder waiting("r1", 1);
  waiting.set([](GroupView& view) {
    view.pods[0].node.clear();
    view.pods[0].unschedulable = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.";
  });
  const StatusInput blocked = status_input(2, {GroupBuilder("r1", 0).loading().build(), waiting.build()});
  EXPECT_EQ(condition(blocked, "Ready").reason, "Unschedulable");
  EXPECT_THAT(condition(blocked, "Ready").message, HasSubstr("3 Insufficient nvidia.com/gpu"));
  EXPECT_EQ(condition(blocked, "Scheduled").status, "False");
}

TEST(Status, TellsHowFarLoadingIs) {
  GroupBuilder group;
  group.loading().set([](GroupView& view) { view.pods[0].evidence->status.load_progress = 0.42; });
  const Condition ready = condition(status_input(1, {group.build()}), "Ready");
  EXPECT_EQ(ready.reason, "Loading");
  EXPECT_THAT(ready.message, HasSubstr("42 %"));
}

TEST(Status, IsStalledWhenContainersDoNotStart) {
  GroupBuilder group;
  group.set([](GroupView& view) {
    view.pods[0].trouble_reason = "CrashLoopBackOff";
    view.pods[0].trouble_message = "back-off restarting the container";
  });
  const StatusInput failing = status_input(1, {group.build()});
  EXPECT_EQ(condition(failing, "Stalled").status, "True");
  EXPECT_EQ(condition(failing, "Reconciling").status, "False");
  EXPECT_EQ(condition(failing, "Degraded").reason, "GroupFailing");
}

TEST(Status, RefusesWithTheFirstProblem) {
  StatusInput refused = status_input(1, {GroupBuilder().routed().build()});
  refused.problems = {"spec.model.source is missing", "spec.replicas is -1"};
  EXPECT_EQ(condition(refused, "Accepted").status, "False");
  EXPECT_THAT(condition(refused, "Ready").message, HasSubstr("spec.model.source is missing (and 1 more)"));
  EXPECT_EQ(condition(refused, "Available").status, "True") << "what serves goes on serving";
}

TEST(Status, IsReadyAtZeroReplicas) {
  EXPECT_EQ(condition(status_input(0, {}), "Ready").status, "True");
  EXPECT_EQ(condition(status_input(0, {}), "Available").reason, "ScaledToZero");
}

TEST(Status, IsNotReadyWhileAnOldRevisionRemains) {
  const StatusInput rolling =
      status_input(1, {GroupBuilder("r0").routed().build(), GroupBuilder("r1").routed().build()});
  EXPECT_EQ(condition(rolling, "Ready").status, "False");
  EXPECT_EQ(condition(rolling, "Progressing").reason, "RollingOut");
  EXPECT_EQ(condition(rolling, "Degraded").status, "False");
}

TEST(Status, KeepsTransitionTimesOfConditionsThatDidNotChange) {
  const StatusInput done = status_input(1, {GroupBuilder().routed().build()});
  const Json first = status_of(done, Json(), kNow);
  const Json second = status_of(done, first, kNow + std::chrono::hours(1));
  EXPECT_EQ(first, second);
  const Json third = status_of(status_input(2, done.observed.groups), first, kNow + std::chrono::hours(1));
  EXPECT_NE(third["conditions"][5]["lastTransitionTime"], first["conditions"][5]["lastTransitionTime"]);
  EXPECT_EQ(third["conditions"][0]["lastTransitionTime"], first["conditions"][0]["lastTransitionTime"]);
}

TEST(Status, CountsAndListsGroups) {
  const Json status = status_of(status_input(2, {GroupBuilder("r0").zone("a").routed().build(),
                                                 GroupBuilder("r1").zone("b").agents(AgentPhase::kLoading).build()}),
                                Json::object(), kNow);
  EXPECT_EQ(status["replicas"], 2);
  EXPECT_EQ(status["routableReplicas"], 1);
  EXPECT_EQ(status["updatedReplicas"], 1);
  EXPECT_EQ(status["currentRevision"], "r0");
  EXPECT_EQ(status["updateRevision"], "r1");
  EXPECT_EQ(status["zones"], Json({"a", "b"}));
  EXPECT_EQ(status["groups"][1]["state"], "Loading");
  EXPECT_EQ(status["selector"], "millrace.dev/deployment=m");
}

}  // namespace
}  // namespace millrace::controller
