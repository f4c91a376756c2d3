// Experts of a group of four ranks, over four processes, are moved by the operator while clients ask.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <optional>
#include <thread>

#include "common/error.h"
#include "tests/e2e/local_cluster_fixture.h"

namespace millrace::e2e {
namespace {

class ExpertsTest : public LocalClusterFixture {
 protected:
  void serve_with_budget(const std::string& max_bytes_per_second) {
    serve({{"parallelism", {{"tensor", 4}, {"expert", 4}}},
           {"resources", {{"requests", {{"cpu", "100m"}}}}},
           {"experts", {{"intervalSeconds", 2}, {"minImprovement", 1}, {"maxBytesPerSecond", max_bytes_per_second}}}});
  }

  // The answer to a prompt that goes to few experts, over and over; none when it failed.
  std::optional<std::string> ask() const {
    try {
      const common::HttpResponse response = common::http_call(question("7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7", 24));
      if (response.status == 200) return Json::parse(response.body)["choices"][0]["message"].dump();
    } catch (const common::Error&) {
    }
    return std::nullopt;
  }
};

TEST_F(ExpertsTest, AreMovedWhereTheLoadIsWithoutAChangedOrFailedAnswer) {
  ASSERT_NO_FATAL_FAILURE(serve_with_budget("4Mi"));
  const std::optional<std::string> first = ask();
  ASSERT_TRUE(first);
  std::atomic<bool> stop{false};
  std::atomic<int> same{0};
  std::atomic<int> other{0};
  std::thread client([&] {
    while (!stop) (ask() == first ? same : other)++;
  });
  const bool moved =
      eventually([&] { return status().contains("experts") && status()["experts"].contains("lastSuccessTime"); });
  stop = true;
  client.join();
  ASSERT_TRUE(moved) << status().dump(2);
  const Json experts = status()["experts"];
  RecordProperty("experts", experts.dump());
  EXPECT_GE(experts["placementNumber"], 1);
  EXPECT_GT(experts["bytesMoved"], 0);
  EXPECT_LT(std::stod(experts["imbalanceAfter"].get<std::string>()),
            std::stod(experts["imbalanceBefore"].get<std::string>()));
  EXPECT_GT(same, 0);
  EXPECT_EQ(other, 0);
  EXPECT_EQ(ask(), first);
}

TEST_F(ExpertsTest, ARankThatDiesDuringAMoveLeavesAGroupThatServes) {
  ASSERT_NO_FATAL_FAILURE(serve_with_budget("8Ki"));  // seconds for each expert
  const std::optional<std::string> first = ask();
  ASSERT_TRUE(first);
  ASSERT_TRUE(eventually([&] { return ask() && condition("ExpertsBalanced")["reason"] == "Rebalancing"; }))
      << status().dump(2);
  const pid_t follower = agent_with_index("2");
  ASSERT_GT(follower, 0);
  kill(follower, SIGKILL);
  ASSERT_TRUE(eventually([&] {
    const pid_t now = agent_with_index("2");
    return now > 0 && now != follower && condition("Ready")["status"] == "True" && ask() == first;
  })) << status().dump(2);
}

}  // namespace
}  // namespace millrace::e2e
