#include "operator/plan/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/plan/builders.h"

namespace millrace::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

RevisionRecord record(const std::string& revision, std::int64_t number, std::optional<int> completed_at = {}) {
  RevisionRecord result;
  result.revision = revision;
  result.number = number;
  if (completed_at) result.completed = testing::kNow + std::chrono::seconds(*completed_at);
  return result;
}

TEST(History, RecordsTheFirstRevisionAsNumberOne) {
  const HistoryPlan plan = plan_history({"a", {}, {}, 10});
  EXPECT_TRUE(plan.create);
  EXPECT_EQ(plan.number, 1);
}

TEST(History, CountsOnForANewRevision) {
  const HistoryPlan plan = plan_history({"c", {record("a", 1), record("b", 4)}, {}, 10});
  EXPECT_TRUE(plan.create);
  EXPECT_EQ(plan.number, 5);
}

TEST(History, HasNothingToDoWhenTheAskedRevisionIsTheLast) {
  EXPECT_TRUE(plan_history({"b", {record("a", 1), record("b", 2)}, {}, 10}).empty());
}

TEST(History, GivesARevisionThatIsAskedForAgainTheNextNumber) {
  const HistoryPlan plan = plan_history({"a", {record("a", 1), record("b", 2)}, {}, 10});
  EXPECT_FALSE(plan.create);
  EXPECT_TRUE(plan.renumber);
  EXPECT_EQ(plan.number, 3);
}

TEST(History, TellsTwoRevisionsOfOneNumberApart) {
  EXPECT_EQ(plan_history({"a", {record("a", 2), record("b", 2)}, {}, 10}).number, 3);
}

TEST(History, ForgetsTheOldestBeyondTheLimit) {
  const std::vector<RevisionRecord> records{record("a", 1), record("b", 2), record("c", 3), record("d", 4)};
  EXPECT_THAT(plan_history({"d", records, {}, 1}).erase, ElementsAre("a", "b"));
  EXPECT_THAT(plan_history({"d", records, {}, 3}).erase, IsEmpty());
}

TEST(History, NeverForgetsWhatRunsOrIsStable) {
  const std::vector<RevisionRecord> records{record("a", 1, 10), record("b", 2), record("c", 3)};
  EXPECT_THAT(plan_history({"c", records, {}, 0}).erase, ElementsAre("b"));
  EXPECT_THAT(plan_history({"c", records, {"b"}, 0}).erase, IsEmpty());
}

TEST(History, CallsTheRevisionThatCompletedLastStable) {
  EXPECT_EQ(stable_revision({}), "");
  EXPECT_EQ(stable_revision({record("a", 1), record("b", 2)}), "");
  EXPECT_EQ(stable_revision({record("a", 3, 20), record("b", 2, 10), record("c", 4)}), "a");
}

}  // namespace
}  // namespace millrace::controller
