#include "operator/plan/experts_cycle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/plan/experts_status.h"

namespace millrace::controller {
namespace {

using common::ExpertMovePhase;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr seconds kInterval{10};

// A group of two ranks with two experts each, and its agent, which does as it is told.
class Group {
 public:
  Group() {
    reading_.load.generation = 1;
    reading_.load.expert_bytes = 100;
    reading_.load.tokens = {{0, 0, 0, 0}};
    reading_.placement.slots_per_rank = 2;
    reading_.placement.slots = {{0, 1, 2, 3}};
    look();
  }

  // An interval with these tokens, and a look at its end.
  std::optional<common::ExpertPlacementMessage> interval(std::vector<std::int64_t> tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) reading_.load.tokens[0][i] += tokens[i];
    reading_.load.steps += 100;
    now_ += kInterval;
    return look();
  }
  std::optional<common::ExpertPlacementMessage> look() {
    auto sent = cycle_.heard(reading_, now_);
    if (sent) reading_.placement.move = {sent->number, ExpertMovePhase::kPreparing, ""};
    return sent;
  }
  void put_in_force(const common::ExpertPlacementMessage& placement) {
    reading_.placement.number = placement.number;
    reading_.placement.slots = placement.slots;
    reading_.placement.move = {placement.number, ExpertMovePhase::kInForce, ""};
  }
  ExpertGroupStatus status() { return cycle_.status(now_); }

  ExpertReading reading_;
  std::chrono::system_clock::time_point now_{};
  ExpertCycle cycle_{{kInterval, 0.05, 1000}, {}, now_};
};

const std::vector<std::int64_t> kSkewed{3000, 3000, 1000, 1000};

TEST(ExpertCycle, SaysThatItCannotJudgeWithoutTraffic) {
  Group group;
  EXPECT_FALSE(group.interval({1, 0, 0, 0}));
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kNoTraffic);
}

TEST(ExpertCycle, LeavesBalancedGroupsAlone) {
  Group group;
  EXPECT_FALSE(group.interval({1000, 1000, 1000, 1000}));
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kBalanced);
}

TEST(ExpertCycle, SendsANumberedPlacementAndProvesIt) {
  Group group;
  const auto sent = group.interval(kSkewed);
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->number, 1);
  EXPECT_EQ(sent->max_bytes_per_second, 1000);
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kRebalancing);
  EXPECT_FALSE(group.interval(kSkewed)) << "it waits for the move";
  group.put_in_force(*sent);
  EXPECT_FALSE(group.look());
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kRebalancing) << "not proved yet";
  EXPECT_FALSE(group.interval(kSkewed));
  const ExpertGroupStatus status = group.status();
  EXPECT_EQ(status.verdict, ExpertVerdict::kBalanced);
  ASSERT_TRUE(status.last);
  EXPECT_DOUBLE_EQ(status.last->all.before, 1.5);
  EXPECT_DOUBLE_EQ(status.last->all.after, 1.0);
  EXPECT_EQ(status.bytes_moved, 200);
  EXPECT_EQ(status.placement_number, 1);
}

TEST(ExpertCycle, TakesBackAMoveThatDoesNotHelp) {
  Group group;
  const auto sent = group.interval(kSkewed);
  ASSERT_TRUE(sent);
  group.put_in_force(*sent);
  group.look();
  // Now the traffic is such that the old placement would be the better one.
  std::vector<std::int64_t> turned(4, 0);
  for (std::size_t slot = 0; slot < 4; ++slot) {
    turned[static_cast<std::size_t>(sent->slots[0][slot])] = slot < 2 ? 5000 : 500;
  }
  const auto back = group.interval(turned);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->number, 2);
  EXPECT_EQ(back->slots, (std::vector<ExpertRow>{{0, 1, 2, 3}}));
  group.put_in_force(*back);
  EXPECT_FALSE(group.look());
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kReverted);
  EXPECT_EQ(group.status().reverted, 1);
  EXPECT_FALSE(group.status().last);
  EXPECT_FALSE(group.interval(kSkewed)) << "it rests after a move that did not help";
}

TEST(ExpertCycle, AFailedMoveIsReportedAndTriedAgainLater) {
  Group group;
  ASSERT_TRUE(group.interval(kSkewed));
  group.reading_.placement.move = {1, ExpertMovePhase::kFailed, "rank 2: the disk is gone"};
  EXPECT_FALSE(group.look());
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kMoveFailed);
  EXPECT_THAT(group.status().message, HasSubstr("the disk is gone"));
  EXPECT_FALSE(group.interval(kSkewed));
  const auto again = group.interval(kSkewed);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->number, 2) << "a number is used once";
}

TEST(ExpertCycle, ARefusedMessageIsAFailedMove) {
  Group group;
  ASSERT_TRUE(group.interval(kSkewed));
  group.cycle_.refused("409", group.now_);
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kMoveFailed);
  EXPECT_FALSE(group.cycle_.moving());
}

TEST(ExpertCycle, AGroupThatStartsAnewInTheMiddleServesItsFirstPlacement) {
  Group group;
  ASSERT_TRUE(group.interval(kSkewed));
  group.reading_.load.generation = 2;
  group.reading_.load.steps = 0;
  group.reading_.load.tokens = {{0, 0, 0, 0}};
  group.reading_.placement.move = {};
  EXPECT_FALSE(group.look());
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kMoveFailed);
  EXPECT_THAT(group.status().message, HasSubstr("started anew"));
  const auto again = group.interval(kSkewed);
  ASSERT_TRUE(again) << "loads do not depend on the placement: the window is still good";
  EXPECT_EQ(again->number, 2);
}

TEST(ExpertCycle, AnAgentThatForgotTheMoveIsAFailedMove) {
  Group group;
  ASSERT_TRUE(group.interval(kSkewed));
  group.reading_.placement.move = {};
  group.now_ += kInterval + milliseconds(1);
  group.look();
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kMoveFailed);
}

TEST(ExpertCycle, SilenceForTwoIntervalsIsAStall) {
  Group group;
  group.interval({1000, 1000, 1000, 1000});
  group.now_ += 2 * kInterval;
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kBalanced);
  group.now_ += milliseconds(1);
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kStalled);
  group.interval({1000, 1000, 1000, 1000});
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kBalanced);
}

TEST(ExpertCycle, AMoveThatDoesNotEndIsAStallThoughTheAgentAnswers) {
  Group group;
  ASSERT_TRUE(group.interval(kSkewed));
  for (int i = 0; i < 3; ++i) group.interval(kSkewed);
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kStalled);
  EXPECT_THAT(group.status().message, HasSubstr("the old one serves"));
}

TEST(ExpertCycle, APlacementThatMakesNoSenseIsRefusedWithTheReason) {
  Group group;
  group.reading_.placement.slots = {{0, 1, 2, 2}};
  EXPECT_FALSE(group.interval(kSkewed));
  EXPECT_EQ(group.status().verdict, ExpertVerdict::kPlanRefused);
  EXPECT_THAT(group.status().message, HasSubstr("no slot for expert 3"));
}

TEST(ExpertsStatus, TheConditionSpeaksOfTheWorstGroup) {
  ExpertGroupStatus good, stalled;
  good.group = "a";
  good.verdict = ExpertVerdict::kBalanced;
  stalled.group = "b";
  stalled.verdict = ExpertVerdict::kStalled;
  stalled.message = "silent";
  const ExpertsCondition condition = experts_condition({good, stalled});
  EXPECT_EQ(condition.status, "False");
  EXPECT_EQ(condition.reason, "RebalanceStalled");
  EXPECT_EQ(condition.message, "group b: silent");
  EXPECT_EQ(experts_condition({good}).status, "True");
  EXPECT_EQ(experts_condition({}).status, "Unknown");
}

TEST(ExpertsStatus, KeepsTheLastMoveOfAnEarlierOperator) {
  const kube::Json previous = {{"placementNumber", 3}, {"imbalanceAfter", "1.020"}};
  ExpertGroupStatus group;
  group.placement_number = 3;
  const kube::Json json = experts_json({group}, previous);
  EXPECT_EQ(json["imbalanceAfter"], "1.020");
  EXPECT_EQ(json["placementNumber"], 3);
}

}  // namespace
}  // namespace millrace::controller
