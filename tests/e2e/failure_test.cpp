// A whole local cluster with real agents, and what goes wrong in it.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "common/error.h"
#include "tests/e2e/local_cluster_fixture.h"

namespace millrace::e2e {
namespace {

class LocalClusterTest : public LocalClusterFixture {
 protected:
  void SetUp() override {
    LocalClusterFixture::SetUp();
    if (cluster_) serve({{"replicas", 1}});
  }

  bool asks_well() const { return answers(question("What is 3 + 4?", 4)); }
};

TEST_F(LocalClusterTest, ComesBackAfterAFollowerIsKilledInMidStream) {
  const pid_t follower = agent_with_index("1");
  ASSERT_GT(follower, 0);
  std::string received;
  bool broken = false;
  try {
    common::http_stream(question("What is 3 + 4?", 2000, true), [&](std::string_view piece) {
      if (received.empty()) kill(follower, SIGKILL);
      received += piece;
      return true;
    });
  } catch (const common::Error&) {
    broken = true;
  }
  const bool told = broken || received.find("\"error\"") != std::string::npos;
  EXPECT_TRUE(told) << "a broken answer must not look like a whole one: " << received;
  ASSERT_TRUE(eventually([&] { return ready() && agent_with_index("1") > 0 && asks_well(); })) << status().dump(2);
}

TEST_F(LocalClusterTest, ComesBackAfterTheLeaderIsKilled) {
  const pid_t leader = agent_with_index("0");
  ASSERT_GT(leader, 0);
  kill(leader, SIGKILL);
  ASSERT_TRUE(eventually([&] {
    const pid_t now = agent_with_index("0");
    return now > 0 && now != leader;
  }));
  ASSERT_TRUE(eventually([&] { return ready() && asks_well(); })) << status().dump(2);
}

TEST_F(LocalClusterTest, UpgradesWithoutARefusedRequest) {
  std::atomic<bool> stop{false};
  std::atomic<int> good{0};
  std::atomic<int> bad{0};
  std::thread client([&] {
    while (!stop) (asks_well() ? good : bad)++;
  });
  const std::string before = status()["currentRevision"];
  apply({{"model", {{"revision", "2"}}}});
  const bool done = eventually([&] { return ready() && status()["currentRevision"] != before; });
  stop = true;
  client.join();
  EXPECT_TRUE(done) << status().dump(2);
  EXPECT_GT(good, 0);
  EXPECT_EQ(bad, 0);
}

}  // namespace
}  // namespace millrace::e2e
