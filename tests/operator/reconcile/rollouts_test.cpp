// Revisions over time, on a cluster in memory whose kubelet and agents the test plays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/resources/controller_revision.h"
#include "tests/operator/reconcile/fake_prompts.h"
#include "tests/operator/reconcile/world.h"

namespace millrace::controller {
namespace {

using ::testing::HasSubstr;
using testing::World;

Json spec_with(int replicas, const std::string& model_revision, const Json& more = Json::object()) {
  Json spec = {{"replicas", replicas}, {"model", {{"revision", model_revision}}}};
  spec.update(more);
  return spec;
}

std::vector<RevisionRecord> records(World& world) {
  std::vector<RevisionRecord> result;
  for (const kube::Object& object : world.cluster.list(kControllerRevision, {}).items) {
    result.push_back(*revision_record(object));
  }
  return result;
}

std::map<std::string, int> pods_by_revision(World& world) {
  std::map<std::string, int> result;
  for (const kube::Object& pod : world.pods()) ++result[pod.label(kRevisionLabel).value_or("")];
  return result;
}

std::string current(World& world) {
  return world.deployment().string_at("/status/currentRevision");
}

TEST(Rollouts, RecordsARevisionBeforeItsFirstPodAndMarksItWhenItServes) {
  World world;
  world.apply(spec_with(1, "one"));
  world.reconcile();
  ASSERT_EQ(records(world).size(), 1U);
  EXPECT_EQ(records(world)[0].number, 1);
  EXPECT_FALSE(records(world)[0].completed);
  ASSERT_TRUE(world.settle());
  EXPECT_TRUE(records(world)[0].completed);
  EXPECT_EQ(current(world), records(world)[0].revision);
}

TEST(Rollouts, KeepsCurrentAndUpdateRevisionApartUntilTheRolloutHasFinished) {
  World world;
  world.apply(spec_with(2, "one"));
  ASSERT_TRUE(world.settle());
  const std::string first = current(world);
  world.apply(spec_with(2, "two"));
  world.reconcile();
  world.reconcile();
  EXPECT_EQ(current(world), first);
  EXPECT_NE(world.deployment().string_at("/status/updateRevision"), first);
  ASSERT_TRUE(world.settle());
  EXPECT_NE(current(world), first);
}

TEST(Rollouts, KeepsNoMoreHistoryThanAskedFor) {
  World world;
  for (const char* revision : {"one", "two", "three", "four"}) {
    world.apply(spec_with(1, revision, {{"revisionHistoryLimit", 1}}));
    ASSERT_TRUE(world.settle());
  }
  EXPECT_EQ(records(world).size(), 2U) << "the one that runs and one before it";
}

TEST(Rollouts, MakesALostGroupOfThePartitionOfItsOwnRevision) {
  World world;
  world.apply(spec_with(3, "one"));
  ASSERT_TRUE(world.settle());
  const std::string first = current(world);
  world.apply(spec_with(3, "two", {{"rollout", {{"partition", 2}}}}));
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(pods_by_revision(world)[first], 2);
  EXPECT_EQ(world.condition("Ready"), "True");
  for (const kube::Object& pod : world.pods()) {
    if (pod.label(kRevisionLabel) != first) continue;
    kube::RemoveOptions now;
    now.grace_period = 0;
    world.cluster.remove(kube::kPod, pod.key(), now);
    break;
  }
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(pods_by_revision(world)[first], 2);
  EXPECT_EQ(pods_by_revision(world).size(), 2U);
}

TEST(Rollouts, RemakesThePartitionAfterItsConfigurationAndItsGroupsAreGone) {
  World world;
  world.apply(spec_with(2, "one", {{"engine", {{"maxNumSeqs", 3}}}}));
  ASSERT_TRUE(world.settle());
  const std::string first = current(world);
  world.apply(spec_with(2, "two", {{"rollout", {{"partition", 1}}}, {"engine", {{"maxNumSeqs", 5}}}}));
  ASSERT_TRUE(world.settle());
  world.cluster.remove(kube::kConfigMap, {"default", "m-" + first});
  for (const kube::Object& pod : world.pods()) {
    kube::RemoveOptions now;
    now.grace_period = 0;
    world.cluster.remove(kube::kPod, pod.key(), now);
  }
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(pods_by_revision(world)[first], 1);
  const auto config = world.cluster.get(kube::kConfigMap, {"default", "m-" + first});
  ASSERT_TRUE(config);
  EXPECT_THAT(config->json().dump(), HasSubstr("max_num_seqs\\\": 3"));
}

TEST(Rollouts, WithoutASpareDeviceNeverHaveMorePodsThanReplicas) {
  World world;
  const Json tight = {{"rollout", {{"maxSurge", 0}, {"maxUnavailable", 1}}}};
  world.apply(spec_with(3, "one", tight));
  ASSERT_TRUE(world.settle());
  const std::string first = current(world);
  world.apply(spec_with(3, "two", tight));
  for (int i = 0; i < 80; ++i) {
    world.reconcile();
    EXPECT_LE(world.pods().size(), 3U);
    EXPECT_GE(world.routable(), 2);
    world.run_pods();
    world.run_agents();
    world.now += std::chrono::seconds(1);
  }
  EXPECT_EQ(world.condition("Ready"), "True");
  EXPECT_EQ(pods_by_revision(world)[first], 0);
}

const Json kTight = {{"rollout", {{"maxSurge", 0}, {"maxUnavailable", 1}}}};

Json ready(World& world) {
  const kube::Object object = world.deployment();
  for (const Json& condition : object.at("/status/conditions")) {
    if (condition["type"] == "Ready") return condition;
  }
  return nullptr;
}

TEST(Rollouts, WithoutASpareDeviceReadTheNewModelBeforeAGroupLeaves) {
  World world;
  world.apply(spec_with(3, "one", kTight));
  ASSERT_TRUE(world.settle());
  EXPECT_TRUE(world.verifiers().empty()) << "there is nothing to replace yet";
  const std::string first = current(world);
  world.apply(spec_with(3, "two", kTight));
  for (int i = 0; i < 5; ++i) {
    world.reconcile();
    ASSERT_EQ(world.verifiers().size(), 1U);
    EXPECT_EQ(world.routable(), 3);
    EXPECT_EQ(pods_by_revision(world)[first], 3);
    world.now += std::chrono::seconds(1);
  }
  EXPECT_EQ(ready(world)["reason"], "VerifyingRevision");
  EXPECT_FALSE(world.deployment().bool_at("/status/rollout/paused"));
  EXPECT_FALSE(world.pods_on(world.verifiers()[0].string_at("/spec/nodeName")).empty());
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.condition("Ready"), "True");
  EXPECT_EQ(pods_by_revision(world)[first], 0);
  EXPECT_TRUE(world.verifiers().empty());
}

TEST(Rollouts, WithoutASpareDeviceAModelThatCannotBeLoadedStopsNoGroup) {
  World world;
  world.apply(spec_with(2, "one", kTight));
  ASSERT_TRUE(world.settle());
  const std::string first = current(world);
  world.model_fault = "tensor lm_head.weight is missing";
  world.apply(spec_with(2, "two", kTight));
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(pods_by_revision(world)[first], 2);
  EXPECT_EQ(world.routable(), 2);
  EXPECT_EQ(ready(world)["reason"], "RevisionNotVerified");
  EXPECT_THAT(ready(world)["message"].get<std::string>(), HasSubstr(world.model_fault));
  EXPECT_EQ(world.condition("Stalled"), "True");
  EXPECT_EQ(world.condition("Available"), "True");
  world.model_fault.clear();
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.condition("Ready"), "True");
  EXPECT_EQ(pods_by_revision(world)[first], 0);
}

TEST(Rollouts, AnEditOrARevertEndsTheReadingOfWhatIsNoLongerAskedFor) {
  World world;
  world.apply(spec_with(2, "one", kTight));
  ASSERT_TRUE(world.settle());
  world.model_fault = "the file is cut short";
  world.apply(spec_with(2, "two", kTight));
  ASSERT_TRUE(world.settle());
  const std::string before = world.verifiers().at(0).name();
  world.apply(spec_with(2, "three", kTight));
  ASSERT_TRUE(world.settle());
  ASSERT_EQ(world.verifiers().size(), 1U);
  EXPECT_NE(world.verifiers()[0].name(), before);
  world.apply(spec_with(2, "one", kTight));
  ASSERT_TRUE(world.settle());
  EXPECT_TRUE(world.verifiers().empty());
  EXPECT_EQ(world.condition("Ready"), "True");
}

TEST(Rollouts, WithAGroupOfSurgeThatMustServeFirstNeedNobodyElseToReadTheModel) {
  World world;
  world.apply(spec_with(2, "one"));
  ASSERT_TRUE(world.settle());
  world.model_fault = "nobody should look";
  world.apply(spec_with(2, "two"));
  for (int i = 0; i < 20; ++i) {
    world.reconcile();
    EXPECT_TRUE(world.verifiers().empty());
    world.run_pods();
    world.run_agents();
    world.now += std::chrono::seconds(1);
  }
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.condition("Ready"), "True");
}

TEST(Rollouts, ARevertInTheMiddleGivesTheOldRevisionTheNextNumber) {
  World world;
  world.apply(spec_with(2, "one"));
  ASSERT_TRUE(world.settle());
  const std::string first = current(world);
  world.apply(spec_with(2, "two"));
  world.reconcile();
  world.apply(spec_with(2, "one"));
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(current(world), first);
  for (const RevisionRecord& record : records(world)) EXPECT_EQ(record.number, record.revision == first ? 3 : 2);
}

TEST(Rollouts, ACanaryThatDoesNotStartIsRolledBackByItself) {
  World world;
  world.apply(spec_with(2, "one"));
  ASSERT_TRUE(world.settle());
  const std::string first = current(world);
  world.apply(spec_with(2, "two", {{"rollout", {{"canary", {{"readySeconds", 60}}}}}}));
  for (int i = 0; i < 40; ++i) {
    world.reconcile();
    EXPECT_GE(world.routable(), 2);
    world.run_pods();  // but no agent of the new pods ever answers
    world.now += std::chrono::seconds(2);
  }
  EXPECT_EQ(pods_by_revision(world), (std::map<std::string, int>{{first, 2}}));
  EXPECT_EQ(world.condition("RollbackActive"), "True");
  EXPECT_EQ(world.condition("Stalled"), "True");
  EXPECT_EQ(world.condition("Available"), "True");
  EXPECT_THAT(world.deployment().at("/status/conditions").dump(), HasSubstr("did not serve within 60 s"));

  world.apply(spec_with(2, "one"));
  ASSERT_TRUE(world.settle());
  EXPECT_EQ(world.condition("RollbackActive"), "False");
  EXPECT_EQ(world.condition("Ready"), "True");
}

// Rolls a canary out while every leader answers ten requests between two looks, those of revision "two" as told.
struct CanaryUnderLoad {
  explicit CanaryUnderLoad(double first_token, double failed_share) {
    world.apply(spec_with(3, "one"));
    EXPECT_TRUE(world.settle());
    stable = current(world);
    world.work = [this, first_token, failed_share](const kube::Object& pod, common::AgentLoad& load) {
      const bool is_stable = pod.label(kRevisionLabel).value_or("") == stable;
      load.finished += 10;
      load.failed += is_stable ? 0 : static_cast<std::uint64_t>(10 * failed_share);
      load.first_token.observe(is_stable ? 0.1 : first_token, 10);
      load.inter_token.observe(0.02, 100);
    };
    world.apply(spec_with(3, "two", {{"rollout", {{"canary", {{"durationSeconds", 120}, {"minSamples", 100}}}}}}));
    for (int i = 0; i < 400; ++i) {
      world.reconcile();
      EXPECT_GE(world.routable(), 3);
      most_new = std::max(most_new, static_cast<int>(world.pods().size()) - pods_by_revision(world)[stable]);
      world.run_pods();
      world.run_agents();
      world.now += std::chrono::seconds(1);
      if (world.condition("RollbackActive") == "True") break;
    }
  }

  World world;
  std::string stable;
  int most_new = 0;
};

TEST(Rollouts, ACanaryThatIsMeasuredToBeAsGoodGoesOn) {
  CanaryUnderLoad good(0.1, 0);
  EXPECT_EQ(good.world.condition("RollbackActive"), "False");
  EXPECT_EQ(pods_by_revision(good.world).size(), 1U);
  EXPECT_NE(current(good.world), good.stable);
}

TEST(Rollouts, ACanaryThatIsMeasuredToBeSlowerIsRolledBackByItself) {
  CanaryUnderLoad slow(0.2, 0);
  ASSERT_EQ(slow.world.condition("RollbackActive"), "True");
  EXPECT_THAT(slow.world.deployment().at("/status/conditions").dump(), HasSubstr("its time to first token is about 2"));
  EXPECT_EQ(slow.most_new, 1) << "no more than the canary group was ever of the slow revision";
  slow.world.work = nullptr;
  ASSERT_TRUE(slow.world.settle());
  EXPECT_EQ(pods_by_revision(slow.world), (std::map<std::string, int>{{slow.stable, 3}}));
}

TEST(Rollouts, ACanaryWhoseAnswersFailIsRolledBackByItself) {
  CanaryUnderLoad broken(0.1, 0.2);
  ASSERT_EQ(broken.world.condition("RollbackActive"), "True");
  EXPECT_THAT(broken.world.deployment().at("/status/conditions").dump(), HasSubstr("20.0 % of its requests fail"));
  EXPECT_EQ(broken.most_new, 1);
}

TEST(Rollouts, ACanaryThatFailsAGoldenPromptIsRolledBackByItself) {
  testing::FakePrompts prompts;
  prompts.answers = {{"10.0.0.1", "7"}, {"10.0.0.2", "7"}, {"10.0.0.3", "8"}};
  GoldenExaminer examiner(prompts, {});
  World world(&examiner);
  world.apply(spec_with(2, "one"));
  ASSERT_TRUE(world.settle());
  const std::string first = current(world);
  const Json golden = {{"prompt", "What is 3 + 4?"}, {"expect", "7"}};
  world.apply(spec_with(2, "two", {{"rollout", {{"canary", {{"goldenPrompts", Json::array({golden})}}}}}}));
  // The exam runs on a thread of its own; until it has ended the canary waits, however fast time passes.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (world.condition("RollbackActive") != "True") {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    world.reconcile();
    world.run_pods();
    world.run_agents();
    world.now += std::chrono::seconds(1);
  }
  ASSERT_TRUE(world.settle(200));
  EXPECT_THAT(world.deployment().at("/status/conditions").dump(), HasSubstr("it answers \\\"8\\\""));
  EXPECT_EQ(pods_by_revision(world), (std::map<std::string, int>{{first, 2}}));
}

}  // namespace
}  // namespace millrace::controller
