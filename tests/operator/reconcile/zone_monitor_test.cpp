#include "operator/reconcile/zone_monitor.h"

#include <gtest/gtest.h>

#include "operator/api/labels.h"
#include "operator/local/memory_cluster.h"
#include "tests/operator/reconcile/world.h"

namespace millrace::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Nodes n-a, n-b, n-c in zones a, b, c with an agent each; time and silence as the test says.
class ZoneMonitorTest : public ::testing::Test {
 protected:
  ZoneMonitorTest() { common::configure_log(common::LogFormat::kText, common::LogLevel::kError); }

  ZoneContacts agents() const {
    ZoneContacts contacts{{"a", {1, {}}}, {"b", {1, {}}}, {"c", {1, {}}}};
    const auto silence = [&](TimePoint since) { return std::chrono::duration_cast<milliseconds>(now_ - since); };
    if (cut_since_) contacts["a"].silences = {silence(*cut_since_)};
    if (c_cut_since_) contacts["c"].silences = {silence(*c_cut_since_)};
    return contacts;
  }

  std::vector<NodeView> nodes() const {
    std::vector<NodeView> list;
    for (const char* zone : {"a", "b", "c"}) {
      NodeView view;
      view.name = std::string("n-") + zone;
      view.zone = zone;
      list.push_back(std::move(view));
    }
    return list;
  }

  void renew(const std::string& node, const std::string& time) {
    const kube::ObjectKey key{"kube-node-lease", node};
    if (!cluster_.get(kube::kLease, key)) cluster_.create(kube::kLease, kube::Object(kube::kLease, key));
    cluster_.patch(kube::kLease, key, {{"spec", {{"renewTime", time}}}});
  }

  // A pod in each zone that takes no traffic has had its gate closed.
  std::map<std::string, KubeletAnswers> kubelets(const std::set<std::string>& zones) const {
    std::map<std::string, KubeletAnswers> answers;
    const auto lives = [&](const std::string& zone) { return zone == "a" ? a_lives_ : zone == "b" || !c_cut_since_; };
    for (const std::string& zone : zones) answers[zone] = {1, lives(zone) ? 1 : 0};
    return answers;
  }

  // Half seconds pass, with a look in each; nodes renew every ten seconds, each in its turn, but for those that may
  // not.
  void pass(seconds time, bool a_lives) {
    for (int i = 0; i < 2 * time.count(); ++i) tick(a_lives);
  }

  void tick(bool a_lives) {
    a_lives_ = a_lives;
    ++ticks_;
    if (ticks_ % 20 == 0 && a_lives) renew("n-a", std::to_string(ticks_));
    if (ticks_ % 20 == 7) renew("n-b", std::to_string(ticks_));
    if (ticks_ % 20 == 14 && !c_cut_since_) renew("n-c", std::to_string(ticks_));
    monitor_.look();
    now_ += milliseconds(500);
  }

  void let_c_fail_and_recover() {
    pass(seconds(90), true);
    ASSERT_EQ(state("a"), ZoneState::kHealthy);
    ASSERT_EQ(state("c"), ZoneState::kHealthy);
    c_cut_since_ = now_;
    pass(seconds(10), true);
    ASSERT_EQ(state("c"), ZoneState::kFailed);
    c_cut_since_.reset();
    pass(seconds(20), true);
    ASSERT_EQ(state("c"), ZoneState::kRecovering);
  }

  ZoneState state(const std::string& zone) const { return monitor_.health().at(zone).state; }

  TimePoint now_{seconds(1'000'000)};
  std::optional<TimePoint> cut_since_;    // zone a
  std::optional<TimePoint> c_cut_since_;  // zone c
  int ticks_ = 0;
  bool a_lives_ = true;
  local::MemoryCluster cluster_{[this] { return now_; }};
  testing::CountingClient client_{cluster_};
  ZoneMonitor monitor_{
      client_,
      {[this] { return agents(); }, [this] { return nodes(); },
       [this](const std::set<std::string>& zones) { return kubelets(zones); }, [this] { return now_; }}};
};

TEST_F(ZoneMonitorTest, ReadsNoLeaseWhileAllIsWell) {
  pass(seconds(30), true);
  EXPECT_EQ(client_.lists, 0);
  EXPECT_FALSE(monitor_.in_doubt());
  EXPECT_EQ(state("a"), ZoneState::kHealthy);
}

TEST_F(ZoneMonitorTest, AZoneThatIsCutOffFailsWithinEightSeconds) {
  pass(seconds(30), true);
  cut_since_ = now_;
  pass(seconds(2), false);
  EXPECT_TRUE(monitor_.in_doubt()) << "before anything is said of it";
  EXPECT_EQ(state("a"), ZoneState::kHealthy);
  pass(seconds(2), false);
  EXPECT_EQ(state("a"), ZoneState::kSuspect);
  pass(seconds(4), false);
  EXPECT_EQ(state("a"), ZoneState::kFailed);
  EXPECT_EQ(state("b"), ZoneState::kHealthy);
  EXPECT_EQ(state("c"), ZoneState::kHealthy);
}

// Leases have been read for long then, and one may have been renewed just before.
TEST_F(ZoneMonitorTest, ASecondZoneFailsAsFastWhileTheFirstRecovers) {
  for (int start = 0; start < 20; ++start) {
    let_c_fail_and_recover();
    for (int i = 0; i < start; ++i) tick(true);
    cut_since_ = now_;
    pass(seconds(8), false);
    ASSERT_EQ(state("a"), ZoneState::kFailed) << "start " << start;
    cut_since_.reset();
  }
}

TEST_F(ZoneMonitorTest, AZoneThatOnlyWeCannotReachKeepsItsGroupsWhileAnotherRecovers) {
  for (int start = 0; start < 20; ++start) {
    let_c_fail_and_recover();
    for (int i = 0; i < start; ++i) tick(true);
    cut_since_ = now_;
    pass(seconds(4), true);
    for (int i = 0; i < 30; ++i) {
      pass(seconds(1), true);
      ASSERT_EQ(state("a"), ZoneState::kSuspect) << i << " s, start " << start;
    }
    cut_since_.reset();
  }
}

// Whenever the silence begins: a lease may have been renewed just before.
TEST_F(ZoneMonitorTest, AZoneThatOnlyWeCannotReachKeepsItsGroups) {
  for (int start = 0; start < 10; ++start) {
    pass(seconds(31), true);
    ASSERT_EQ(state("a"), ZoneState::kHealthy);
    cut_since_ = now_;
    pass(seconds(6), true);
    EXPECT_EQ(state("a"), ZoneState::kSuspect);
    for (int i = 0; i < 60; ++i) {
      pass(seconds(1), true);
      ASSERT_EQ(state("a"), ZoneState::kSuspect) << i << " s, start " << start;
    }
    cut_since_.reset();
  }
}

// An operator that was cut off itself and is back: the agents of others have been silent for long, and nothing was
// read.
TEST_F(ZoneMonitorTest, WhoWasCutOffAccusesNobodyAtItsReturn) {
  pass(seconds(31), true);
  client_.refuse_lists = true;
  cut_since_ = now_;
  pass(seconds(20), false);
  client_.refuse_lists = false;
  pass(seconds(2), false);
  EXPECT_EQ(state("a"), ZoneState::kSuspect);
  cut_since_.reset();
  pass(seconds(8), true);
  EXPECT_EQ(state("a"), ZoneState::kHealthy);
}

// The same, and what was read just before is all there is to compare with.
TEST_F(ZoneMonitorTest, WhoReachedNobodyHasNotListened) {
  pass(seconds(31), true);
  cut_since_ = now_;
  pass(seconds(2), true);
  client_.lose_lists = true;
  pass(seconds(30), false);
  EXPECT_EQ(state("a"), ZoneState::kHealthy) << "nobody can be accused by one who may be cut off";
  client_.lose_lists = false;
  pass(seconds(2), true);
  EXPECT_EQ(state("a"), ZoneState::kHealthy) << "two seconds of silence that counts";
  pass(seconds(3), false);
  EXPECT_EQ(state("a"), ZoneState::kSuspect) << "and five";
  pass(seconds(6), false);
  EXPECT_EQ(state("a"), ZoneState::kFailed);
}

TEST_F(ZoneMonitorTest, WhatWasBelievedStaysWhileNobodyIsReached) {
  pass(seconds(31), true);
  cut_since_ = now_;
  pass(seconds(4), false);
  ASSERT_EQ(state("a"), ZoneState::kSuspect);
  client_.lose_lists = true;
  pass(seconds(30), false);
  EXPECT_EQ(state("a"), ZoneState::kSuspect);
}

TEST_F(ZoneMonitorTest, AZoneThatComesBackMustStayWell) {
  pass(seconds(30), true);
  cut_since_ = now_;
  pass(seconds(10), false);
  ASSERT_EQ(state("a"), ZoneState::kFailed);
  cut_since_.reset();
  pass(seconds(8), true);
  EXPECT_EQ(state("a"), ZoneState::kRecovering);
  pass(seconds(70), true);
  EXPECT_EQ(state("a"), ZoneState::kHealthy);
  const int lists = client_.lists;
  pass(seconds(10), true);
  EXPECT_EQ(client_.lists, lists) << "leases are no longer read";
}

TEST_F(ZoneMonitorTest, LeasesThatCannotBeReadProveNothing) {
  pass(seconds(30), true);
  client_.refuse_lists = true;
  cut_since_ = now_;
  pass(seconds(300), false);
  EXPECT_EQ(state("a"), ZoneState::kSuspect);
}

}  // namespace
}  // namespace millrace::controller
