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

  std::vector<AgentContact> agents() const {
    std::vector<AgentContact> list;
    for (const char* zone : {"a", "b", "c"}) {
      const bool cut = cut_since_ && zone == std::string("a");
      list.push_back({zone, cut, cut ? std::chrono::duration_cast<milliseconds>(now_ - *cut_since_) : milliseconds(0)});
    }
    return list;
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

  // Half seconds pass, with a look in each; nodes renew every fifth second but for those that may not.
  void pass(seconds time, bool a_renews) {
    for (int i = 0; i < 2 * time.count(); ++i) {
      if (++ticks_ % 10 == 0) {
        for (const char* node : {"n-a", "n-b", "n-c"}) {
          if (a_renews || node != std::string("n-a")) renew(node, std::to_string(ticks_));
        }
      }
      monitor_.look();
      now_ += milliseconds(500);
    }
  }

  ZoneState state(const std::string& zone) const { return monitor_.health().at(zone).state; }

  TimePoint now_{seconds(1'000'000)};
  std::optional<TimePoint> cut_since_;
  int ticks_ = 0;
  local::MemoryCluster cluster_{[this] { return now_; }};
  testing::CountingClient client_{cluster_};
  ZoneMonitor monitor_{client_, {[this] { return agents(); }, [this] { return nodes(); }, [this] { return now_; }}};
};

TEST_F(ZoneMonitorTest, ReadsNoLeaseWhileAllIsWell) {
  pass(seconds(30), true);
  EXPECT_EQ(client_.lists, 0);
  EXPECT_EQ(state("a"), ZoneState::kHealthy);
}

TEST_F(ZoneMonitorTest, AZoneThatIsCutOffFailsWithinEightSeconds) {
  pass(seconds(30), true);
  cut_since_ = now_;
  pass(seconds(4), false);
  EXPECT_EQ(state("a"), ZoneState::kSuspect);
  pass(seconds(4), false);
  EXPECT_EQ(state("a"), ZoneState::kFailed);
  EXPECT_EQ(state("b"), ZoneState::kHealthy);
  EXPECT_EQ(state("c"), ZoneState::kHealthy);
}

TEST_F(ZoneMonitorTest, AZoneThatOnlyWeCannotReachKeepsItsGroups) {
  pass(seconds(30), true);
  cut_since_ = now_;
  pass(seconds(6), true);
  EXPECT_EQ(state("a"), ZoneState::kSuspect);
  pass(seconds(300), true);
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
