// Experts of a group of four ranks, over four processes, are moved by the operator while clients ask.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "common/error.h"
#include "common/http_client.h"
#include "operator/api/manifest.h"
#include "operator/local/local_cluster.h"
#include "tests/e2e/command.h"
#include "tests/paths.h"
#include "tests/support/temp_directory.h"

namespace millrace::e2e {
namespace {

namespace fs = std::filesystem;
namespace kube = controller::kube;
using kube::Json;
using std::chrono::seconds;

class ExpertsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (tiny_model().empty()) GTEST_SKIP() << "examples/models/tiny-moe has no weights";
    controller::local::LocalClusterOptions options;
    options.node.work_folder = folder_.path();
    options.node.programs = {fs::path(MILLRACE_AGENT).parent_path()};
    options.node.host_paths = {{"/models", tiny_model().parent_path()}};
    options.node.restart_delay = std::chrono::milliseconds(200);
    cluster_ = std::make_unique<controller::local::LocalCluster>(options);
  }

  void serve(const std::string& max_bytes_per_second) {
    kube::Object object = controller::read_manifest(std::string(MILLRACE_SOURCE_DIR) + "/examples/tiny-moe.yaml")[0];
    object.json()["metadata"]["namespace"] = "default";
    object.json()["spec"]["parallelism"] = {{"tensor", 4}, {"expert", 4}};
    object.json()["spec"]["resources"]["requests"]["cpu"] = "100m";
    object.json()["spec"]["experts"] = {
        {"intervalSeconds", 2}, {"minImprovement", 1}, {"maxBytesPerSecond", max_bytes_per_second}};
    kube::ApplyOptions options;
    options.field_manager = "test";
    cluster_->client().apply(kube::kModelDeployment, object, options);
    port_ = cluster_->expose(kKey, "127.0.0.1", 0);
    ASSERT_TRUE(eventually([&] { return condition("Ready")["status"] == "True"; })) << status().dump(2);
  }

  Json status() { return cluster_->client().get(kube::kModelDeployment, kKey)->at("/status"); }
  Json condition(const std::string& type) {
    const Json now = status();
    if (!now.is_object() || !now.contains("conditions")) return Json::object({{"status", ""}, {"reason", ""}});
    for (const Json& condition : now["conditions"]) {
      if (condition["type"] == type) return condition;
    }
    return Json::object({{"status", ""}, {"reason", ""}});
  }

  template <typename Condition>
  static bool eventually(Condition&& holds) {
    const auto end = std::chrono::steady_clock::now() + seconds(200);
    while (std::chrono::steady_clock::now() < end) {
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }

  // A prompt that goes to few experts, over and over.
  std::string ask() const {
    common::HttpCall call;
    call.host = "127.0.0.1";
    call.port = port_;
    call.method = "POST";
    call.target = "/v1/chat/completions";
    call.timeout = seconds(60);
    const Json message = {{"role", "user"}, {"content", "7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7"}};
    call.body = Json{
        {"model", "tiny-moe"},
        {"messages", Json::array({message})},
        {"max_tokens", 24},
        {"min_tokens", 24},
        {"temperature",
         0}}.dump();
    const common::HttpResponse response = common::http_call(call);
    if (response.status != 200) throw common::Error(common::Code::kUnavailable, response.body);
    return Json::parse(response.body)["choices"][0]["message"].dump();
  }

  static pid_t agent_with_index(const std::string& index) {
    for (const auto& task : fs::directory_iterator("/proc/self/task")) {
      std::ifstream children(task.path() / "children");
      for (pid_t child = 0; children >> child;) {
        std::ifstream stream("/proc/" + std::to_string(child) + "/cmdline");
        const std::string words{std::istreambuf_iterator<char>(stream), {}};
        if (words.find(std::string("--pod-index") + '\0' + index + '\0') != std::string::npos) return child;
      }
    }
    return -1;
  }

  const kube::ObjectKey kKey{"default", "tiny-moe"};
  const test::TempDirectory folder_;
  std::unique_ptr<controller::local::LocalCluster> cluster_;
  std::uint16_t port_ = 0;
};

TEST_F(ExpertsTest, AreMovedWhereTheLoadIsWithoutAChangedOrFailedAnswer) {
  ASSERT_NO_FATAL_FAILURE(serve("4Mi"));
  const std::string first = ask();
  std::atomic<bool> stop{false};
  std::atomic<int> same{0}, other{0};
  std::thread client([&] {
    while (!stop) {
      try {
        (ask() == first ? same : other)++;
      } catch (const common::Error&) {
        ++other;
      }
    }
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
  ASSERT_NO_FATAL_FAILURE(serve("8Ki"));  // seconds for each expert
  const std::string first = ask();
  ASSERT_TRUE(eventually([&] {
    ask();
    return condition("ExpertsBalanced")["reason"] == "Rebalancing";
  })) << status().dump(2);
  const pid_t follower = agent_with_index("2");
  ASSERT_GT(follower, 0);
  kill(follower, SIGKILL);
  ASSERT_TRUE(eventually([&] {
    const pid_t now = agent_with_index("2");
    if (now <= 0 || now == follower || condition("Ready")["status"] != "True") return false;
    try {
      return ask() == first;
    } catch (const common::Error&) {
      return false;
    }
  })) << status().dump(2);
}

}  // namespace
}  // namespace millrace::e2e
