#include "operator/plan/verification.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using testing::GroupBuilder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

VerifierView verifier(const std::string& revision, const std::string& phase) {
  VerifierView view{revision, {}};
  view.pod.name = "m-" + revision + "-verify";
  view.pod.node = "n1";
  view.pod.phase = phase;
  return view;
}

// Two groups of the old revision serve, and no more than one may be missing.
VerificationInput tight() {
  VerificationInput input;
  input.update = "new";
  input.budgets = {0, 1};
  input.groups = {GroupBuilder("old", 0).routed().build(), GroupBuilder("old", 1).routed().build()};
  return input;
}

TEST(Verification, BeginsOnANodeOfAGroupThatIsToBeReplaced) {
  VerificationInput input = tight();
  input.groups[0].pods[0].node = "silent";
  input.groups[1].pods[0].node = "sound";
  input.nodes.resize(2);
  input.nodes[0].name = "silent";
  input.nodes[0].heard_of = false;
  input.nodes[1].name = "sound";
  const VerificationPlan plan = plan_verification(input);
  EXPECT_TRUE(plan.holds());
  EXPECT_EQ(plan.node, "sound");
}

TEST(Verification, IsNotNeededWhereNoGroupLeavesBeforeAnotherServes) {
  VerificationInput input = tight();
  input.budgets = {1, 0};
  EXPECT_EQ(plan_verification(input).phase, VerificationPhase::kNotNeeded);
  EXPECT_EQ(plan_verification(input).node, "");
}

TEST(Verification, IsNotNeededWhereNothingServedYetOrTheRevisionDoes) {
  VerificationInput first = tight();
  first.groups = {GroupBuilder("old", 0).loading().build()};
  EXPECT_FALSE(plan_verification(first).holds());
  VerificationInput proven = tight();
  proven.groups.push_back(GroupBuilder("new", 0).routed().build());
  EXPECT_FALSE(plan_verification(proven).holds());
}

TEST(Verification, HoldsGroupsBackWhileItRunsAndSaysWhoReads) {
  VerificationInput input = tight();
  input.verifiers = {verifier("new", "Running")};
  const VerificationPlan plan = plan_verification(input);
  EXPECT_EQ(plan.phase, VerificationPhase::kRunning);
  EXPECT_EQ(plan.node, "") << "it is there";
  EXPECT_THAT(plan.erase, IsEmpty());
  EXPECT_THAT(plan.message, HasSubstr("m-new-verify on node n1"));
}

TEST(Verification, TellsWhatTheReaderFound) {
  VerificationInput input = tight();
  input.verifiers = {verifier("new", "Running")};
  input.verifiers[0].pod.trouble_reason = "CrashLoopBackOff";
  input.verifiers[0].pod.trouble_message = "tensor lm_head.weight is missing";
  const VerificationPlan plan = plan_verification(input);
  EXPECT_EQ(plan.phase, VerificationPhase::kFailing);
  EXPECT_TRUE(plan.holds());
  EXPECT_THAT(plan.message, HasSubstr("lm_head.weight is missing"));
}

TEST(Verification, PassesOnceAndLeavesTheReaderUntilThatIsRecorded) {
  VerificationInput input = tight();
  input.verifiers = {verifier("new", "Succeeded")};
  const VerificationPlan passed = plan_verification(input);
  EXPECT_TRUE(passed.decided_now);
  EXPECT_FALSE(passed.holds());
  EXPECT_THAT(passed.erase, IsEmpty());
  input.recorded = true;
  const VerificationPlan later = plan_verification(input);
  EXPECT_FALSE(later.decided_now);
  EXPECT_THAT(later.erase, SizeIs(1));
  EXPECT_EQ(later.phase, VerificationPhase::kPassed);
}

TEST(Verification, ReplacesAReaderThatWasThrownOutOrWhoseNodeNoGroupHoldsAnyMore) {
  VerificationInput input = tight();
  input.verifiers = {verifier("new", "Failed")};
  EXPECT_THAT(plan_verification(input).erase, SizeIs(1));
  EXPECT_EQ(plan_verification(input).node, "") << "the name is taken until it is gone";
  input.verifiers = {verifier("new", "Pending")};
  input.verifiers[0].pod.node = "gone";
  EXPECT_THAT(plan_verification(input).erase, SizeIs(1));
  input.verifiers.clear();
  EXPECT_EQ(plan_verification(input).node, "n1");
}

TEST(Verification, EndsWhatNobodyAsksForAnyMore) {
  VerificationInput other = tight();
  other.verifiers = {verifier("other", "Running")};
  EXPECT_THAT(plan_verification(other).erase, SizeIs(1));
  EXPECT_EQ(plan_verification(other).node, "n1");
  VerificationInput paused = tight();
  paused.goes_on = false;
  paused.verifiers = {verifier("new", "Running")};
  EXPECT_THAT(plan_verification(paused).erase, SizeIs(1));
  EXPECT_FALSE(plan_verification(paused).holds());
}

}  // namespace
}  // namespace millrace::controller
