#include "operator/reconcile/golden_examiner.h"

#include <gtest/gtest.h>

#include "tests/operator/reconcile/fake_prompts.h"

namespace millrace::controller {
namespace {

using testing::FakePrompts;
using namespace std::chrono_literals;

const kube::ObjectKey kKey{"default", "m"};

GoldenExam exam(const std::string& revision) {
  return {revision, {"10.0.0.1", 8001, "t"}, {"10.0.0.2", 8001, "t"}, {{"one?", "1", 4}, {"two?", "2", 4}}};
}

class GoldenExaminerTest : public ::testing::Test {
 protected:
  GoldenExaminerOptions options() {
    GoldenExaminerOptions result;
    result.pause = 0ms;
    result.on_change = [this](const kube::ObjectKey&) {
      const std::lock_guard lock(mutex_);
      ++changes_;
      changed_.notify_all();
    };
    return result;
  }
  bool wait_for_changes(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 30s, [&] { return changes_ >= count; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int changes_ = 0;
  FakePrompts prompts_;
};

TEST_F(GoldenExaminerTest, AsksBothRevisionsEveryPromptOnce) {
  prompts_.answers = {{"10.0.0.1", "1 and 2"}, {"10.0.0.2", "2"}};
  GoldenExaminer examiner(prompts_, options());
  EXPECT_FALSE(examiner.answers(kKey, "b"));
  examiner.examine(kKey, exam("b"));
  ASSERT_TRUE(wait_for_changes(1));
  examiner.examine(kKey, exam("b"));
  const auto answers = examiner.answers(kKey, "b");
  ASSERT_TRUE(answers);
  ASSERT_EQ(answers->stable.size(), 2U);
  EXPECT_EQ(answers->stable[1].text, "1 and 2");
  EXPECT_EQ(answers->update[0].text, "2");
  EXPECT_EQ(prompts_.calls(), 4);
  EXPECT_FALSE(examiner.answers(kKey, "c")) << "of another revision";
}

TEST_F(GoldenExaminerTest, TriesAgainAndThenSaysWhyThereIsNoAnswer) {
  prompts_.answers = {{"10.0.0.1", "1 and 2"}};
  GoldenExaminer examiner(prompts_, options());
  examiner.examine(kKey, exam("b"));
  ASSERT_TRUE(wait_for_changes(1));
  EXPECT_EQ(examiner.answers(kKey, "b")->update[0].error, "nobody at 10.0.0.2");
  EXPECT_EQ(prompts_.calls(), 2 + 2 * 3);
}

TEST_F(GoldenExaminerTest, ForgetsAndExaminesAnotherRevisionAnew) {
  prompts_.answers = {{"10.0.0.1", "1"}, {"10.0.0.2", "2"}};
  GoldenExaminer examiner(prompts_, options());
  examiner.examine(kKey, exam("b"));
  ASSERT_TRUE(wait_for_changes(1));
  examiner.examine(kKey, exam("c"));
  EXPECT_FALSE(examiner.answers(kKey, "b"));
  ASSERT_TRUE(wait_for_changes(2));
  EXPECT_TRUE(examiner.answers(kKey, "c"));
  examiner.forget(kKey);
  EXPECT_FALSE(examiner.answers(kKey, "c"));
}

TEST_F(GoldenExaminerTest, EndsWhileAPromptIsRepeated) {
  GoldenExaminerOptions patient = options();
  patient.pause = std::chrono::hours(1);
  {
    GoldenExaminer examiner(prompts_, patient);
    examiner.examine(kKey, exam("b"));
    ASSERT_TRUE(prompts_.wait_for_calls(1));
  }
  EXPECT_EQ(changes_, 0);
}

}  // namespace
}  // namespace millrace::controller
