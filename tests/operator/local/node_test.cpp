// The node with real processes: operator_local_test_pod plays the container.
#include "operator/local/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <thread>

#include "common/error.h"
#include "common/http_client.h"
#include "operator/local/memory_cluster.h"
#include "tests/support/temp_directory.h"

namespace millrace::controller::local {
namespace {

namespace fs = std::filesystem;
using kube::Json;
using kube::Object;
using ::testing::HasSubstr;

constexpr std::uint16_t kPort = 18231;

class NodeTest : public ::testing::Test {
 protected:
  NodeTest() {
    fs::create_directories(state());
    NodeOptions options;
    options.work_folder = folder_.path() / "work";
    options.programs = {TEST_POD_FOLDER};
    options.host_paths = {{"/models", folder_.path() / "models"}};
    options.restart_delay = std::chrono::milliseconds(20);
    options.restart_limit = std::chrono::milliseconds(50);
    node_ = std::make_unique<LocalNode>(cluster_, options, std::vector<std::string>{"a"});
  }

  fs::path state() const { return folder_.path() / "state"; }
  void touch(const char* name) const { std::ofstream(state() / name) << "x"; }

  // A pod bound to the node. `args` come after --bind and --port.
  static Object pod(const std::vector<std::string>& args, const fs::path& state) {
    Object pod(kube::kPod, {"default", "p"});
    const Json probe = {{"httpGet", {{"path", "/ready"}, {"port", "http"}}}, {"periodSeconds", 1}};
    Json container = {{"name", "c"},
                      {"command", {"operator_local_test_pod"}},
                      {"args", {"--bind", "$(POD_IP)", "--port", std::to_string(kPort)}},
                      {"env",
                       {{{"name", "POD_IP"}, {"valueFrom", {{"fieldRef", {{"fieldPath", "status.podIP"}}}}}},
                        {{"name", "STATE"}, {"value", state.string()}}}},
                      {"ports", Json::array({{{"name", "http"}, {"containerPort", kPort}}})},
                      {"readinessProbe", probe}};
    for (const std::string& arg : args) container["args"].push_back(arg);
    pod.json()["spec"] = {
        {"nodeName", "local-a"}, {"terminationGracePeriodSeconds", 30}, {"containers", Json::array({container})}};
    return pod;
  }

  Object stored() { return cluster_.get(kube::kPod, {"default", "p"}).value_or(Object()); }
  std::string condition(const std::string& type) {
    const Object pod = stored();
    for (const Json& condition : pod.at("/status/conditions")) {
      if (condition["type"] == type) return condition["status"];
    }
    return "";
  }
  std::int64_t restarts() { return stored().int_at("/status/containerStatuses/0/restartCount").value_or(0); }
  std::string log() const {
    std::ifstream stream(folder_.path() / "work/logs/p.log");
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  template <typename Condition>
  static bool eventually(Condition&& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(40);
    while (std::chrono::steady_clock::now() < end) {
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

  std::string fetch(const std::string& path) {
    common::HttpCall call;
    call.host = stored().string_at("/status/podIP");
    call.port = kPort;
    call.target = path;
    return common::http_call(call).body;
  }

  const test::TempDirectory folder_;
  MemoryCluster cluster_;
  std::unique_ptr<LocalNode> node_;
};

TEST_F(NodeTest, RunsAPodAndReportsItReadyWhenItsProbePasses) {
  cluster_.create(kube::kPod, pod({}, state()));
  ASSERT_TRUE(eventually([&] { return stored().string_at("/status/phase") == "Running"; }));
  EXPECT_EQ(condition("Ready"), "False");
  touch("ready");
  EXPECT_TRUE(eventually([&] { return condition("Ready") == "True"; }));
  EXPECT_TRUE(stored().string_at("/status/podIP").starts_with("127."));
}

TEST_F(NodeTest, TakesReadinessGatesIntoAccount) {
  touch("ready");
  Object gated = pod({}, state());
  gated.json()["spec"]["readinessGates"] = Json::array({{{"conditionType", "example.com/gate"}}});
  cluster_.create(kube::kPod, gated);
  ASSERT_TRUE(eventually([&] { return condition("ContainersReady") == "True"; }));
  EXPECT_EQ(condition("Ready"), "False");
  Object gate(kube::kPod, {"default", "p"});
  gate.json()["status"]["conditions"] = Json::array({{{"type", "example.com/gate"}, {"status", "True"}}});
  cluster_.apply(kube::kPod, gate, {"status", true, "test"});
  EXPECT_TRUE(eventually([&] { return condition("Ready") == "True"; }));
}

TEST_F(NodeTest, GivesThePodItsFilesAndVariables) {
  touch("ready");
  Object map(kube::kConfigMap, {"default", "settings"});
  map.json()["data"] = {{"a.txt", "hello"}};
  cluster_.create(kube::kConfigMap, map);
  Object with_files = pod({"--file", "/etc/settings/a.txt"}, state());
  Json& spec = with_files.json()["spec"];
  spec["volumes"] = Json::array({{{"name", "settings"}, {"configMap", {{"name", "settings"}}}}});
  spec["containers"][0]["volumeMounts"] = Json::array({{{"name", "settings"}, {"mountPath", "/etc/settings"}}});
  spec["containers"][0]["env"].push_back({{"name", "TEST"}, {"value", "/etc/settings/a.txt"}});
  cluster_.create(kube::kPod, with_files);
  ASSERT_TRUE(eventually([&] { return condition("Ready") == "True"; }));
  EXPECT_EQ(fetch("/file"), "hello");
  EXPECT_THAT(fetch("/env"), HasSubstr("volumes/settings/a.txt"));
  cluster_.patch(kube::kConfigMap, map.key(), {{"data", {{"a.txt", "good evening"}}}});
  EXPECT_TRUE(eventually([&] { return fetch("/file") == "good evening"; })) << "files follow their object";
}

TEST_F(NodeTest, RestartsAContainerThatEndsAndSaysHowItEnded) {
  cluster_.create(kube::kPod, pod({"--exit", "3"}, state()));
  ASSERT_TRUE(eventually([&] { return restarts() >= 3; }));
  ASSERT_TRUE(eventually(
      [&] { return stored().string_at("/status/containerStatuses/0/state/waiting/reason") == "CrashLoopBackOff"; }));
  EXPECT_EQ(stored().int_at("/status/containerStatuses/0/lastState/terminated/exitCode"), 3);
  EXPECT_THAT(stored().string_at("/status/containerStatuses/0/lastState/terminated/message"), HasSubstr("started"));
}

TEST_F(NodeTest, LeavesAPodThatIsToRunOnceWhenItHasEndedWell) {
  Object once = pod({"--exit", "0"}, state());
  once.json()["spec"]["restartPolicy"] = "OnFailure";
  cluster_.create(kube::kPod, once);
  ASSERT_TRUE(eventually([&] { return stored().string_at("/status/phase") == "Succeeded"; }));
  EXPECT_EQ(restarts(), 0);
  EXPECT_EQ(stored().int_at("/status/containerStatuses/0/state/terminated/exitCode"), 0);
  cluster_.remove(kube::kPod, {"default", "p"}, {});
  EXPECT_TRUE(eventually([&] { return !cluster_.get(kube::kPod, {"default", "p"}); }));
}

TEST_F(NodeTest, RestartsAContainerThatFailsItsLivenessProbe) {
  touch("ready");
  Object fragile = pod({}, state());
  const Json live = {{"path", "/live"}, {"port", kPort}};
  // The program must have come up before it is asked, or it ends before it can say so.
  fragile.json()["spec"]["containers"][0]["startupProbe"] = {
      {"httpGet", live}, {"periodSeconds", 1}, {"failureThreshold", 100}};
  fragile.json()["spec"]["containers"][0]["livenessProbe"] = {
      {"httpGet", live}, {"periodSeconds", 1}, {"failureThreshold", 1}};
  cluster_.create(kube::kPod, fragile);
  ASSERT_TRUE(eventually([&] { return condition("ContainersReady") == "True"; }));
  touch("dead");
  EXPECT_TRUE(eventually([&] { return restarts() >= 1; }));
  EXPECT_THAT(log(), HasSubstr("terminated"));
}

TEST_F(NodeTest, DoesNotAskForReadinessBeforeTheStartupProbePassed) {
  touch("ready");
  touch("dead");
  Object slow = pod({}, state());
  slow.json()["spec"]["containers"][0]["startupProbe"] = {
      {"httpGet", {{"path", "/live"}, {"port", kPort}}}, {"periodSeconds", 1}, {"failureThreshold", 100}};
  cluster_.create(kube::kPod, slow);
  ASSERT_TRUE(eventually([&] { return stored().string_at("/status/phase") == "Running"; }));
  EXPECT_EQ(condition("ContainersReady"), "False");
  fs::remove(state() / "dead");
  EXPECT_TRUE(eventually([&] { return condition("ContainersReady") == "True"; }));
}

TEST_F(NodeTest, TerminatesInGoodOrder) {
  touch("ready");
  cluster_.create(kube::kPod, pod({}, state()));
  ASSERT_TRUE(eventually([&] { return condition("Ready") == "True"; }));
  cluster_.remove(kube::kPod, {"default", "p"});
  EXPECT_TRUE(eventually([&] { return !cluster_.get(kube::kPod, {"default", "p"}); }));
  EXPECT_THAT(log(), HasSubstr("terminated"));
}

TEST_F(NodeTest, KillsAPodThatOutstaysItsGrace) {
  touch("ready");
  Object stubborn = pod({"--stubborn"}, state());
  stubborn.json()["spec"]["terminationGracePeriodSeconds"] = 1;
  cluster_.create(kube::kPod, stubborn);
  ASSERT_TRUE(eventually([&] { return condition("Ready") == "True"; }));
  cluster_.remove(kube::kPod, {"default", "p"});
  EXPECT_TRUE(eventually([&] { return !cluster_.get(kube::kPod, {"default", "p"}); }));
  EXPECT_THAT(log(), HasSubstr("terminated"));
}

TEST_F(NodeTest, SaysWhichFolderIsMissing) {
  Object lost = pod({}, state());
  lost.json()["spec"]["volumes"] = Json::array({{{"name", "m"}, {"hostPath", {{"path", "/models/none"}}}}});
  cluster_.create(kube::kPod, lost);
  const char* reason = "/status/containerStatuses/0/state/waiting/reason";
  ASSERT_TRUE(eventually([&] { return stored().string_at(reason) == "CreateContainerConfigError"; }));
  EXPECT_THAT(stored().string_at("/status/containerStatuses/0/state/waiting/message"),
              HasSubstr((folder_.path() / "models/none").string()));
  cluster_.remove(kube::kPod, {"default", "p"});
  EXPECT_TRUE(eventually([&] { return !cluster_.get(kube::kPod, {"default", "p"}); }));
}

TEST_F(NodeTest, EndsItsProcessesWithItself) {
  touch("ready");
  cluster_.create(kube::kPod, pod({}, state()));
  ASSERT_TRUE(eventually([&] { return condition("Ready") == "True"; }));
  node_.reset();
  EXPECT_THROW(fetch("/ready"), common::Error);
}

}  // namespace
}  // namespace millrace::controller::local
