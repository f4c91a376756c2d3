#include "operator/local/container.h"

#include <gtest/gtest.h>

#include "common/error.h"

namespace millrace::controller::local {
namespace {

using kube::Json;

TEST(Container, ExpandsVariables) {
  const std::map<std::string, std::string> env{{"A", "1"}};
  EXPECT_EQ(expand("x=$(A)/$(B)/$$(A)/$A", env), "x=1/$(B)/$(A)/$A");
  EXPECT_EQ(expand("$(A", env), "$(A");
}

TEST(Container, RewritesPathsBelowAMount) {
  const std::vector<MountedPath> mounts{{"/etc/millrace/config", "/w/c"}, {"/model", "/w/m"}};
  EXPECT_EQ(to_machine_path("/model", mounts), "/w/m");
  EXPECT_EQ(to_machine_path("/model/a", mounts), "/w/m/a");
  EXPECT_EQ(to_machine_path("/models", mounts), "/models");
  EXPECT_EQ(to_machine_path("/etc/millrace/config/agent.json", mounts), "/w/c/agent.json");
}

TEST(Container, ReadsProbesWithNamedPorts) {
  const kube::Object container(Json::parse(R"({"ports":[{"name":"admin","containerPort":8001}],
      "readinessProbe":{"httpGet":{"path":"/readyz","port":"admin"},"periodSeconds":1,"failureThreshold":2}})"));
  const auto probe = probe_of(container, "readinessProbe");
  ASSERT_TRUE(probe);
  EXPECT_EQ(probe->port, 8001);
  EXPECT_EQ(probe->path, "/readyz");
  EXPECT_EQ(probe->period, std::chrono::seconds(1));
  EXPECT_EQ(probe->failures, 2);
  EXPECT_FALSE(probe_of(container, "livenessProbe"));
}

TEST(ProbeCounter, ChangesItsMindAfterEnoughResultsInARow) {
  HttpProbe probe;
  probe.failures = 2;
  ProbeCounter counter(true);
  EXPECT_FALSE(counter.add(probe, false));
  EXPECT_FALSE(counter.add(probe, true));
  EXPECT_FALSE(counter.add(probe, false));
  EXPECT_TRUE(counter.add(probe, false));
  EXPECT_FALSE(counter.passed());
  EXPECT_TRUE(counter.add(probe, true));
}

TEST(Container, BuildsTheProcessOfAPod) {
  const kube::Object pod(Json::parse(R"x({"metadata":{"name":"p","namespace":"default"},"spec":{"containers":[{
      "command":["true"],"args":["--bind","$(POD_IP)","--model","/model/x"],
      "env":[{"name":"POD_IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},{"name":"B","value":"$(POD_IP)!"}]
      }]}})x"));
  const ProcessOptions options = process_of(pod, "127.1.2.3", {{"/model", "/w/m"}}, {});
  EXPECT_EQ(options.program.filename(), "true");
  EXPECT_EQ(options.args, (std::vector<std::string>{"--bind", "127.1.2.3", "--model", "/w/m/x"}));
  EXPECT_EQ(options.env.at("B"), "127.1.2.3!");
}

TEST(Container, NamesAProgramThatIsNotThere) {
  const kube::Object pod(Json::parse(R"({"spec":{"containers":[{"command":["no-such-program"]}]}})"));
  EXPECT_THROW(process_of(pod, "127.0.0.1", {}, {"/nowhere"}), common::Error);
  EXPECT_THROW(process_of(kube::Object(), "127.0.0.1", {}, {}), common::Error);
}

}  // namespace
}  // namespace millrace::controller::local
