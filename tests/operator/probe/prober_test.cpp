#include "operator/probe/prober.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>

#include "tests/operator/reconcile/fake_agents.h"

namespace millrace::controller {
namespace {

using common::AgentPhase;
using ::testing::Each;
using testing::FakeAgents;
using ::testing::IsEmpty;
using ::testing::Le;

const kube::ObjectKey kDeployment{"default", "m"};

class ProberTest : public ::testing::Test {
 protected:
  ProberTest() {
    options_.period = std::chrono::milliseconds(5);
    options_.settle = std::chrono::milliseconds(0);
    options_.rest = std::chrono::milliseconds(20);
    options_.on_change = [this](const kube::ObjectKey&) {
      const std::lock_guard lock(mutex_);
      ++changes_;
      changed_.notify_all();
    };
  }

  static ProbeGroup group(int pods, bool drain = false) {
    ProbeGroup result;
    result.shape = {"m-r-0", pods, 1, 1};
    result.token = "t";
    result.drain = drain;
    for (int i = 0; i < pods; ++i) {
      result.pods.push_back({"uid-" + std::to_string(i), "ip-" + std::to_string(i), i});
    }
    return result;
  }

  // Waits until `holds`; on_change wakes it.
  template <typename Condition>
  bool eventually(Condition&& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::unique_lock lock(mutex_);
    while (std::chrono::steady_clock::now() < end) {
      lock.unlock();
      const bool held = holds();
      lock.lock();
      if (held) return true;
      changed_.wait_for(lock, std::chrono::milliseconds(5));
    }
    return false;
  }

  FakeAgents agents_;
  ProberOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int changes_ = 0;
};

bool is_in(const Prober& prober, const std::string& uid, AgentPhase phase) {
  const auto evidence = prober.evidence(uid);
  return evidence && evidence->answered && evidence->status.phase == phase;
}

TEST_F(ProberTest, GivesAGroupItsMembershipOnceAllPodsAnswer) {
  Prober prober(agents_, options_);
  agents_.start("ip-0");
  prober.watch(kDeployment, {group(2)});
  ASSERT_TRUE(eventually([&] { return is_in(prober, "uid-0", AgentPhase::kWaitingForGroup); }));
  EXPECT_TRUE(agents_.pushes("ip-0").empty());
  agents_.start("ip-1");
  ASSERT_TRUE(eventually([&] { return is_in(prober, "uid-1", AgentPhase::kServing); }));
  EXPECT_EQ(agents_.pushes("ip-0").size(), 1U);
  EXPECT_EQ(agents_.pushes("ip-1").at(0).peers.size(), 2U);
}

TEST_F(ProberTest, StartsTheWholeGroupAnewWhenOneAgentRestarted) {
  Prober prober(agents_, options_);
  agents_.start("ip-0");
  agents_.start("ip-1");
  prober.watch(kDeployment, {group(2)});
  ASSERT_TRUE(eventually([&] { return is_in(prober, "uid-1", AgentPhase::kServing); }));
  agents_.start("ip-1");
  ASSERT_TRUE(eventually([&] { return agents_.pushes("ip-0").size() == 2; }));
  EXPECT_EQ(agents_.pushes("ip-0").back().generation, 2);
}

TEST_F(ProberTest, TriesAFailedGroupAgain) {
  agents_.start_into(AgentPhase::kFailed);
  agents_.start("ip-0");
  Prober prober(agents_, options_);
  prober.watch(kDeployment, {group(1)});
  ASSERT_TRUE(eventually([&] { return agents_.pushes("ip-0").size() >= 2; }));
  agents_.start_into(AgentPhase::kServing);
  EXPECT_TRUE(eventually([&] { return is_in(prober, "uid-0", AgentPhase::kServing); }));
}

TEST_F(ProberTest, AsksAndTellsNothingWhereItMayNot) {
  std::atomic<bool> leads = false;
  options_.may_tell = [&] { return leads.load(); };
  agents_.start("ip-0");
  agents_.start("ip-1");
  Prober prober(agents_, options_);
  prober.watch(kDeployment, {group(2, true)});
  ASSERT_TRUE(eventually([&] { return agents_.asked("ip-0") >= 5 && agents_.asked("ip-1") >= 5; }));
  EXPECT_TRUE(is_in(prober, "uid-0", AgentPhase::kWaitingForGroup)) << "and not draining";
  prober.watch(kDeployment, {group(2)});
  const int asked = agents_.asked("ip-1");
  ASSERT_TRUE(eventually([&] { return agents_.asked("ip-1") >= asked + 5; }));
  EXPECT_TRUE(agents_.pushes("ip-0").empty());
  leads = true;
  EXPECT_TRUE(eventually([&] { return is_in(prober, "uid-1", AgentPhase::kServing); }));
}

TEST_F(ProberTest, TellsTheLeaderToDrain) {
  agents_.start("ip-0");
  agents_.start("ip-1");
  Prober prober(agents_, options_);
  prober.watch(kDeployment, {group(2)});
  ASSERT_TRUE(eventually([&] { return is_in(prober, "uid-0", AgentPhase::kServing); }));
  prober.watch(kDeployment, {group(2, true)});
  EXPECT_TRUE(eventually([&] { return is_in(prober, "uid-0", AgentPhase::kDraining); }));
  EXPECT_TRUE(is_in(prober, "uid-1", AgentPhase::kServing)) << "followers work until the leader has finished";
}

TEST_F(ProberTest, KeepsTheLastAnswerOfAnAgentThatFellSilentAndSaysWhy) {
  agents_.start("ip-0");
  Prober prober(agents_, options_);
  prober.watch(kDeployment, {group(1)});
  ASSERT_TRUE(eventually([&] { return is_in(prober, "uid-0", AgentPhase::kServing); }));
  agents_.stop("ip-0");
  ASSERT_TRUE(eventually([&] { return !prober.evidence("uid-0")->error.empty(); }));
  EXPECT_TRUE(is_in(prober, "uid-0", AgentPhase::kServing));
}

TEST_F(ProberTest, CountsTheSilenceOfAgentsThatUsedToAnswer) {
  Prober prober(agents_, options_);
  agents_.start("ip-0");
  ProbeGroup watched = group(2);
  watched.zone = "z";
  prober.watch(kDeployment, {watched});
  ASSERT_TRUE(eventually([&] { return prober.contacts()["z"].agents == 1; })) << "the second agent never answered";
  EXPECT_THAT(prober.contacts()["z"].silences, IsEmpty());
  agents_.stop("ip-0");
  EXPECT_TRUE(eventually([&] {
    const std::vector<std::chrono::milliseconds> silences = prober.contacts()["z"].silences;
    return silences.size() == 1 && silences[0] >= std::chrono::milliseconds(20);
  }));
}

TEST_F(ProberTest, AsksAnAgentThatFellSilentAgainAtOnce) {
  options_.period = std::chrono::hours(1);
  Prober prober(agents_, options_);
  agents_.start("ip-0");
  prober.watch(kDeployment, {group(1)});
  const auto silent = [&] { return prober.contacts()[""].silences.size(); };
  ASSERT_TRUE(eventually([&] { return prober.contacts()[""].agents == 1; }));
  agents_.stop("ip-0");
  prober.watch(kDeployment, {group(1, true)});  // a change makes it ask now
  ASSERT_TRUE(eventually([&] { return silent() == 1; }));
  agents_.start("ip-0");
  EXPECT_TRUE(eventually([&] { return silent() == 0; })) << "without waiting for the next hour";
}

TEST_F(ProberTest, ForgetsWhatIsNoLongerWatched) {
  agents_.start("ip-0");
  Prober prober(agents_, options_);
  prober.watch(kDeployment, {group(1)});
  ASSERT_TRUE(eventually([&] { return prober.evidence("uid-0").has_value(); }));
  prober.watch(kDeployment, {});
  EXPECT_TRUE(eventually([&] { return !prober.evidence("uid-0").has_value(); }));
}

// Serves, over connections that are kept, and says the same again and again.
class QuietGroup : public ProberTest {
 protected:
  QuietGroup() {
    options_.quiet = options_.followers = std::chrono::hours(1);
    agents_.watched = true;
    agents_.start("ip-0");
    agents_.start("ip-1");
  }

  // Until nothing but the followers' hour would lead to a question.
  void settle(Prober& prober) {
    ASSERT_TRUE(eventually([&] { return is_in(prober, "uid-1", AgentPhase::kServing); }));
    const int before = agents_.asked("ip-1");
    const int leader = agents_.asked("ip-0");
    ASSERT_TRUE(eventually([&] { return agents_.asked("ip-0") > leader + 3; }));
    ASSERT_LE(agents_.asked("ip-1"), before + 1);
  }
};

TEST_F(QuietGroup, IsAskedThroughItsLeaderAlone) {
  Prober prober(agents_, options_);
  prober.watch(kDeployment, {group(2)});
  settle(prober);
}

// Beside a group that is asked in every period.
class GroupInPeace : public QuietGroup {
 protected:
  GroupInPeace() {
    absent_.shape.name = "absent";
    absent_.pods = {{"uid-9", "ip-9", 0}};
  }

  bool absent_was_asked() {
    const int before = agents_.asked("ip-9");
    return eventually([&] { return agents_.asked("ip-9") > before + 5; });
  }

  void be_left_alone(Prober& prober) {
    agents_.digest = 7;
    prober.watch(kDeployment, {quiet_, absent_});
    ASSERT_TRUE(eventually([&] { return !agents_.pushes("ip-1").empty(); }));
    agents_.digest = 8;  // what they say since they serve
    ASSERT_TRUE(eventually([&] { return is_in(prober, "uid-1", AgentPhase::kServing); }));
    ASSERT_TRUE(absent_was_asked());
    asked_ = agents_.asked("ip-0");
    ASSERT_TRUE(absent_was_asked());
    ASSERT_EQ(agents_.asked("ip-0"), asked_);
  }

  ProbeGroup quiet_ = group(2);
  ProbeGroup absent_ = group(1);
  int asked_ = 0;
};

TEST_F(GroupInPeace, IsAskedAgainWhenItsNumbersAreWanted) {
  Prober prober(agents_, options_);
  be_left_alone(prober);
  quiet_.closely = true;
  prober.watch(kDeployment, {quiet_, absent_});
  EXPECT_TRUE(eventually([&] { return agents_.asked("ip-0") > asked_ + 3; }));
}

TEST_F(GroupInPeace, IsAskedTheLessOftenTheMoreGroupsThereAre) {
  options_.quiet = options_.followers = options_.period;
  options_.quiet_groups_per_second = 1e-4;  // two of them: one question in some hours
  Prober prober(agents_, options_);
  be_left_alone(prober);
}

TEST_F(QuietGroup, IsAskedAsAWholeWhenAConnectionEnds) {
  Prober prober(agents_, options_);
  prober.watch(kDeployment, {group(2)});
  settle(prober);
  agents_.start("ip-1");  // the process began anew
  agents_.lose("ip-1");
  ASSERT_TRUE(eventually([&] { return agents_.pushes("ip-1").size() == 2; }));
  EXPECT_EQ(agents_.pushes("ip-0").back().generation, 2);
}

TEST_F(QuietGroup, AnAgentIsAliveAsLongAsItsConnection) {
  Prober prober(agents_, options_);
  prober.watch(kDeployment, {group(2)});
  settle(prober);
  EXPECT_EQ(prober.evidence("uid-1")->age, std::chrono::milliseconds(0));
  EXPECT_TRUE(is_fresh(*prober.evidence("uid-1")));
}

TEST_F(QuietGroup, TheSilenceOfALostAgentCountsFromWhenItsKernelWasHeard) {
  Prober prober(agents_, options_);
  prober.watch(kDeployment, {group(2)});
  settle(prober);
  agents_.stop("ip-1");
  agents_.lose("ip-1", std::chrono::hours(2));  // longer than since its last answer, which then counts
  ASSERT_TRUE(eventually([&] { return !prober.evidence("uid-1")->error.empty(); }));
  const auto evidence = *prober.evidence("uid-1");
  EXPECT_LE(evidence.age, evidence.since_answer);
  EXPECT_THAT(prober.contacts()[""].silences, Each(Le(std::chrono::minutes(30))));
}

}  // namespace
}  // namespace millrace::controller
