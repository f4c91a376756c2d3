#include "tests/e2e/local_cluster_fixture.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include "common/error.h"
#include "operator/api/manifest.h"
#include "tests/e2e/command.h"
#include "tests/paths.h"

namespace millrace::e2e {
namespace {

namespace fs = std::filesystem;
namespace kube = controller::kube;

const kube::ObjectKey kKey{"default", "tiny-moe"};
constexpr std::chrono::seconds kLimit{200};
constexpr std::chrono::milliseconds kLook{50};

}  // namespace

void LocalClusterFixture::SetUp() {
  if (tiny_model().empty()) GTEST_SKIP() << "examples/models/tiny-moe has no weights";
  controller::local::LocalClusterOptions options;
  options.node.work_folder = folder_.path();
  options.node.programs = {fs::path(MILLRACE_AGENT).parent_path()};
  options.node.host_paths = {{"/models", models()}};
  options.node.restart_delay = std::chrono::milliseconds(200);
  cluster_ = std::make_unique<controller::local::LocalCluster>(options);
}

fs::path LocalClusterFixture::models() const {
  return tiny_model().parent_path();
}

void LocalClusterFixture::apply(const Json& changes) {
  kube::Object object = controller::read_manifest(std::string(MILLRACE_SOURCE_DIR) + "/examples/tiny-moe.yaml")[0];
  object.json()["metadata"]["namespace"] = kKey.ns;
  object.json()["spec"].merge_patch(changes);
  kube::ApplyOptions options;
  options.field_manager = "test";
  cluster_->client().apply(kube::kModelDeployment, object, options);
}

void LocalClusterFixture::serve(const Json& changes) {
  apply(changes);
  port_ = cluster_->expose(kKey, "127.0.0.1", 0);
  ASSERT_TRUE(eventually([&] { return ready(); })) << status().dump(2);
}

Json LocalClusterFixture::status() {
  return cluster_->client().get(kube::kModelDeployment, kKey)->at("/status");
}

Json LocalClusterFixture::condition(const std::string& type) {
  const Json now = status();
  if (now.is_object() && now.contains("conditions")) {
    for (const Json& condition : now["conditions"]) {
      if (condition["type"] == type) return condition;
    }
  }
  return {{"status", ""}, {"reason", ""}};
}

bool LocalClusterFixture::ready() {
  const kube::Object object = *cluster_->client().get(kube::kModelDeployment, kKey);
  return object.int_at("/status/observedGeneration") == object.generation() && condition("Ready")["status"] == "True";
}

bool LocalClusterFixture::eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + kLimit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(kLook);
  }
  return true;
}

common::HttpCall LocalClusterFixture::question(const std::string& prompt, int max_tokens, bool stream) const {
  const Json message = {{"role", "user"}, {"content", prompt}};
  const Json body = {{"model", "tiny-moe"},      {"messages", Json::array({message})},
                     {"max_tokens", max_tokens}, {"min_tokens", max_tokens},
                     {"temperature", 0},         {"stream", stream}};
  common::HttpCall call;
  call.host = "127.0.0.1";
  call.port = port_;
  call.method = "POST";
  call.target = "/v1/chat/completions";
  call.timeout = std::chrono::seconds(60);
  call.body = body.dump();
  return call;
}

bool LocalClusterFixture::answers(const common::HttpCall& call) const {
  try {
    return common::http_call(call).status == 200;
  } catch (const common::Error&) {
    return false;
  }
}

pid_t LocalClusterFixture::agent_with_index(const std::string& index) {
  const std::string wanted = std::string("--pod-index") + '\0' + index + '\0';
  for (const auto& task : fs::directory_iterator("/proc/self/task")) {
    std::ifstream children(task.path() / "children");
    for (pid_t child = 0; children >> child;) {
      std::ifstream stream("/proc/" + std::to_string(child) + "/cmdline");
      const std::string words{std::istreambuf_iterator<char>(stream), {}};
      if (words.find(wanted) != std::string::npos) return child;
    }
  }
  return -1;
}

}  // namespace millrace::e2e
