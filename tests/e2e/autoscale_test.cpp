// The built-in autoscaler over real agents: a step of the load, and its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <optional>
#include <thread>
#include <vector>

#include "operator/api/labels.h"
#include "operator/kube/timestamp.h"
#include "tests/e2e/local_cluster_fixture.h"

namespace millrace::e2e {
namespace {

using Clock = std::chrono::steady_clock;
using ::testing::AnyOf;

// Threads that ask, each one question after the other.
class Clients {
 public:
  Clients(int count, const std::function<bool()>& ask) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, ask] {
        while (!stop_) (ask() ? good_ : bad_)++;
      });
    }
  }
  ~Clients() { stop(); }

  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  void stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  int good() const { return good_; }
  int bad() const { return bad_; }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<int> good_{0};
  std::atomic<int> bad_{0};
  std::vector<std::thread> threads_;
};

class AutoscaleTest : public LocalClusterFixture {
 protected:
  std::function<bool()> asking(int tokens) const {
    return [this, call = question("What is 3 + 4?", tokens)] { return answers(call); };
  }

  Json autoscaling() { return status().value("autoscaling", Json::object()); }
  int desired() { return autoscaling().value("desiredReplicas", 0); }
  int routable() { return status().value("routableReplicas", 0); }
  std::vector<controller::kube::Object> pods() { return cluster_->client().list(controller::kube::kPod, {}).items; }

  // The moment at which the last pod was created; in whole seconds, as the cluster keeps it.
  std::chrono::system_clock::time_point last_created() {
    std::chrono::system_clock::time_point last;
    for (const auto& pod : pods()) {
      last = std::max(last, *controller::kube::parse_timestamp(pod.string_at("/metadata/creationTimestamp")));
    }
    return last;
  }
};

TEST_F(AutoscaleTest, AStepOfTheLoadBringsAGroupAndItsEndTakesItAwayWithoutAFailedRequest) {
  ASSERT_NO_FATAL_FAILURE(serve({{"parallelism", {{"tensor", 1}, {"expert", 1}}},
                                 {"resources", {{"requests", {{"cpu", "100m"}}}}},
                                 {"engine", {{"maxNumSeqs", 2}}},
                                 {"autoscaling",
                                  {{"minReplicas", 1},
                                   {"maxReplicas", 2},
                                   {"behavior", {{"scaleDown", {{"stabilizationWindowSeconds", 5}}}}}}}}));
  ASSERT_TRUE(eventually([&] { return autoscaling().contains("decidedAt"); })) << status().dump(2);
  EXPECT_EQ(pods().size(), 1U);

  Clients few(3, asking(16));
  ASSERT_TRUE(eventually([&] { return few.good() > 20; }));
  EXPECT_EQ(desired(), 1);

  const Clock::time_point step = Clock::now();
  Clients more(9, asking(16));
  std::optional<Clock::duration> created, decided;
  ASSERT_TRUE(eventually([&] {
    if (!created && pods().size() == 2) created = Clock::now() - step;
    if (!decided && desired() == 2) decided = Clock::now() - step;
    return created && decided;
  })) << status().dump(2);
  const Json up = autoscaling();
  ASSERT_TRUE(eventually([&] { return routable() == 2; })) << status().dump(2);
  const Clock::duration routed = Clock::now() - step;
  few.stop();
  more.stop();

  EXPECT_THAT(up["reason"], AnyOf("Queue", "Arrivals", "CacheUse"));
  EXPECT_NE(up["message"], "");
  EXPECT_LE(*controller::kube::parse_timestamp(up["decidedAt"].get<std::string>()), last_created());
  EXPECT_EQ(condition("AutoscalingActive")["status"], "True");

  const Clock::time_point end = Clock::now();
  Clients one(1, asking(200));  // is served on while the group leaves
  ASSERT_TRUE(eventually([&] { return desired() == 1; })) << status().dump(2);
  const Clock::duration given_up = Clock::now() - end;
  EXPECT_EQ(autoscaling()["reason"], "LowLoad") << autoscaling();
  EXPECT_NE(autoscaling()["message"], "");
  ASSERT_TRUE(eventually([&] { return pods().size() == 1 && routable() == 1; })) << status().dump(2);
  const Clock::duration gone = Clock::now() - end;
  const int answered = one.good();
  EXPECT_TRUE(eventually([&] { return one.good() > answered; })) << "the group that stays serves";
  one.stop();
  EXPECT_EQ(few.bad() + more.bad() + one.bad(), 0);

  const auto ms = [](Clock::duration time) {
    return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
  };
  std::printf(
      "after the step: pod %d ms, decision in status %d ms, routed %d ms; after its end: decided %d ms, gone %d ms\n",
      ms(*created), ms(*decided), ms(routed), ms(given_up), ms(gone));
}

}  // namespace
}  // namespace millrace::e2e
