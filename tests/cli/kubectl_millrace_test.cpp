// The commands of the plugin against a cluster in memory whose operator, kubelet and agents the test plays.
#include "cli/kubectl_millrace_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/operator/reconcile/world.h"

namespace millrace::cli {
namespace {

using controller::testing::World;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = controller::kube::Json;

void ask_for(World& world, const std::string& model_revision) {
  world.apply({{"replicas", 2}, {"model", {{"revision", model_revision}}}});
}

Rollout rollout(World& world) {
  return {world.cluster, world.key};
}

std::string asked_model(World& world) {
  return world.deployment().string_at("/spec/model/revision");
}

TEST(KubectlMillrace, ListsRevisionsWithTheirState) {
  World world;
  ask_for(world, "one");
  ASSERT_TRUE(world.settle());
  ask_for(world, "two");
  world.reconcile();
  const std::string history = show_history(rollout(world));
  EXPECT_THAT(history, AllOf(HasSubstr("NUMBER"), HasSubstr("stable"), HasSubstr("asked for")));
  EXPECT_EQ(std::count(history.begin(), history.end(), '\n'), 3);
}

TEST(KubectlMillrace, UndoGoesBackToWhatServesInTheMiddleOfARollout) {
  World world;
  ask_for(world, "one");
  ASSERT_TRUE(world.settle());
  const std::string stable = world.deployment().string_at("/status/currentRevision");
  ask_for(world, "two");
  world.reconcile();
  EXPECT_THAT(undo(world.cluster, rollout(world), {}), HasSubstr("the spec now asks for revision 1"));
  EXPECT_EQ(asked_model(world), "one");
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.deployment().string_at("/status/updateRevision"), stable)
      << "the very same revision, not a look-alike";
}

TEST(KubectlMillrace, UndoOfAFinishedRolloutGoesOneBackAndTwiceForthAgain) {
  World world;
  for (const char* revision : {"one", "two"}) {
    ask_for(world, revision);
    ASSERT_TRUE(world.settle());
  }
  undo(world.cluster, rollout(world), {});
  EXPECT_EQ(asked_model(world), "one");
  ASSERT_TRUE(world.settle());
  undo(world.cluster, rollout(world), {});
  EXPECT_EQ(asked_model(world), "two");
}

TEST(KubectlMillrace, UndoGoesToANumberAndNamesTheNumbersThereAre) {
  World world;
  for (const char* revision : {"one", "two", "three"}) {
    ask_for(world, revision);
    ASSERT_TRUE(world.settle());
  }
  undo(world.cluster, rollout(world), 1);
  EXPECT_EQ(asked_model(world), "one");
  try {
    undo(world.cluster, rollout(world), 9);
    FAIL() << "there is no revision 9";
  } catch (const common::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("there is no revision 9; recorded: 1, 2, 3"));
  }
}

TEST(KubectlMillrace, UndoLeavesTheNumberOfReplicasAlone) {
  World world;
  ask_for(world, "one");
  ASSERT_TRUE(world.settle());
  world.apply({{"replicas", 3}, {"model", {{"revision", "two"}}}, {"engine", {{"maxNumSeqs", 4}}}});
  ASSERT_TRUE(world.settle());
  undo(world.cluster, rollout(world), {});
  EXPECT_EQ(world.deployment().int_at("/spec/replicas"), 3);
  EXPECT_TRUE(world.deployment().at("/spec/engine").is_null()) << "a field that revision 1 did not have";
}

TEST(KubectlMillrace, PausesAndResumes) {
  World world;
  ask_for(world, "one");
  ASSERT_TRUE(world.settle());
  set_paused(world.cluster, rollout(world), true);
  ask_for(world, "two");
  ASSERT_TRUE(world.settle());
  EXPECT_THAT(show_status(rollout(world)), HasSubstr("is paused"));
  for (const auto& pod : world.pods()) {
    EXPECT_EQ(pod.label(controller::kRevisionLabel), world.deployment().string_at("/status/currentRevision"));
  }
  EXPECT_EQ(set_paused(world.cluster, rollout(world), false), "resumed\n");
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(rollout_end(world.deployment()), RolloutEnd::kReady);
  EXPECT_EQ(world.deployment().at("/status/currentRevision"), world.deployment().at("/status/updateRevision"));
}

TEST(KubectlMillrace, ShowsWhichFieldsDiffer) {
  World world;
  ask_for(world, "one");
  ASSERT_TRUE(world.settle());
  ask_for(world, "two");
  ASSERT_TRUE(world.settle());
  EXPECT_THAT(show_diff(rollout(world), {}, {}), HasSubstr("spec.model.revision: \"one\" -> \"two\""));
  EXPECT_THAT(show_diff(rollout(world), 2, 2), HasSubstr("no field differs"));
}

TEST(KubectlMillrace, ShowsWhereARolloutIs) {
  World world;
  ask_for(world, "one");
  EXPECT_EQ(show_status(rollout(world)), "the operator has not looked at it yet\n");
  for (int look = 0; look < 2; ++look) world.reconcile();
  EXPECT_THAT(show_status(rollout(world)), AllOf(HasSubstr("Ready: False"), HasSubstr("GROUP")));
  EXPECT_EQ(rollout_end(world.deployment()), RolloutEnd::kGoesOn);
  ASSERT_TRUE(world.settle());
  EXPECT_THAT(show_status(rollout(world)), AllOf(HasSubstr("Ready: True"), HasSubstr("Routable")));
}

TEST(KubectlMillrace, SaysWhatIsNotThere) {
  World world;
  try {
    Rollout(world.cluster, {"default", "nobody"});
    FAIL() << "there is no such deployment";
  } catch (const common::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("there is no ModelDeployment default/nobody"));
  }
}

}  // namespace
}  // namespace millrace::cli
