// A whole local cluster with real agents, and what goes wrong in it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/paths.h"

#include "common/error.h"
#include "common/http_client.h"
#include "operator/api/manifest.h"
#include "operator/local/local_cluster.h"
#include "tests/e2e/command.h"
#include "tests/support/temp_directory.h"

namespace millrace::e2e {
namespace {

namespace fs = std::filesystem;
namespace kube = controller::kube;
using kube::Json;
using std::chrono::seconds;

class LocalClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (tiny_model().empty()) GTEST_SKIP() << "examples/models/tiny-moe has no weights";
    controller::local::LocalClusterOptions options;
    options.node.work_folder = folder_.path();
    options.node.programs = {fs::path(MILLRACE_AGENT).parent_path()};
    options.node.host_paths = {{"/models", tiny_model().parent_path()}};
    options.node.restart_delay = std::chrono::milliseconds(200);
    cluster_ = std::make_unique<controller::local::LocalCluster>(options);
    apply(R"({"replicas": 1})");
    port_ = cluster_->expose(kKey, "127.0.0.1", 0);
    ASSERT_TRUE(eventually([&] { return ready(); })) << status().dump(2);
  }

  // The example with changes.
  void apply(const std::string& changes) {
    kube::Object object = controller::read_manifest(std::string(MILLRACE_SOURCE_DIR) + "/examples/tiny-moe.yaml")[0];
    object.json()["metadata"]["namespace"] = "default";
    object.json()["spec"].merge_patch(Json::parse(changes));
    kube::ApplyOptions options;
    options.field_manager = "test";
    cluster_->client().apply(kube::kModelDeployment, object, options);
  }

  Json status() { return cluster_->client().get(kube::kModelDeployment, kKey)->at("/status"); }
  bool ready() {
    const kube::Object object = *cluster_->client().get(kube::kModelDeployment, kKey);
    if (object.int_at("/status/observedGeneration") != object.generation()) return false;
    for (const Json& condition : object.at("/status/conditions")) {
      if (condition["type"] == "Ready") return condition["status"] == "True";
    }
    return false;
  }

  template <typename Condition>
  static bool eventually(Condition&& holds) {
    const auto end = std::chrono::steady_clock::now() + seconds(120);
    while (std::chrono::steady_clock::now() < end) {
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }

  common::HttpCall question(int max_tokens, bool stream) const {
    common::HttpCall call;
    call.host = "127.0.0.1";
    call.port = port_;
    call.method = "POST";
    call.target = "/v1/chat/completions";
    call.timeout = seconds(60);
    call.body = Json{
        {"model", "tiny-moe"},
        {"messages", {{{"role", "user"}, {"content", "What is 3 + 4?"}}}},
        {"max_tokens", max_tokens},
        {"min_tokens", max_tokens},
        {"stream",
         stream}}.dump();
    return call;
  }
  int ask() const { return common::http_call(question(4, false)).status; }

  // The processes of this test's agents, by the pod index they were started with.
  static pid_t agent_with_index(const std::string& index) {
    for (const auto& task : fs::directory_iterator("/proc/self/task")) {
      std::ifstream children(task.path() / "children");
      for (pid_t child = 0; children >> child;) {
        std::ifstream stream("/proc/" + std::to_string(child) + "/cmdline");
        const std::string words{std::istreambuf_iterator<char>(stream), {}};
        const std::string wanted = std::string("--pod-index") + '\0' + index + '\0';
        if (words.find(wanted) != std::string::npos) return child;
      }
    }
    return -1;
  }

  const kube::ObjectKey kKey{"default", "tiny-moe"};
  const test::TempDirectory folder_;
  std::unique_ptr<controller::local::LocalCluster> cluster_;
  std::uint16_t port_ = 0;
};

TEST_F(LocalClusterTest, ComesBackAfterAFollowerIsKilledInMidStream) {
  const pid_t follower = agent_with_index("1");
  ASSERT_GT(follower, 0);
  std::string received;
  bool broken = false;
  try {
    common::http_stream(question(2000, true), [&](std::string_view piece) {
      if (received.empty()) kill(follower, SIGKILL);
      received += piece;
      return true;
    });
  } catch (const common::Error&) {
    broken = true;
  }
  const bool told = broken || received.find("\"error\"") != std::string::npos;
  EXPECT_TRUE(told) << "a broken answer must not look like a whole one: " << received;
  ASSERT_TRUE(eventually([&] { return ready() && agent_with_index("1") > 0 && ask() == 200; })) << status().dump(2);
}

TEST_F(LocalClusterTest, ComesBackAfterTheLeaderIsKilled) {
  const pid_t leader = agent_with_index("0");
  ASSERT_GT(leader, 0);
  kill(leader, SIGKILL);
  ASSERT_TRUE(eventually([&] {
    const pid_t now = agent_with_index("0");
    return now > 0 && now != leader;
  }));
  ASSERT_TRUE(eventually([&] {
    try {
      return ready() && ask() == 200;
    } catch (const common::Error&) {
      return false;
    }
  })) << status().dump(2);
}

TEST_F(LocalClusterTest, UpgradesWithoutARefusedRequest) {
  std::atomic<bool> stop{false};
  std::atomic<int> good{0};
  std::atomic<int> bad{0};
  std::thread client([&] {
    while (!stop) {
      try {
        (ask() == 200 ? good : bad)++;
      } catch (const common::Error&) {
        ++bad;
      }
    }
  });
  const std::string before = status()["currentRevision"];
  apply(R"({"model": {"revision": "2"}})");
  const bool done = eventually([&] { return ready() && status()["currentRevision"] != before; });
  stop = true;
  client.join();
  EXPECT_TRUE(done) << status().dump(2);
  EXPECT_GT(good, 0);
  EXPECT_EQ(bad, 0);
}

}  // namespace
}  // namespace millrace::e2e
