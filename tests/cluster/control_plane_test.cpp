#include "tests/cluster/control_plane.h"

#include <chrono>

#include <gmock/gmock.h>

namespace millrace::testing {
namespace {

using ::testing::HasSubstr;

TEST(RunCommand, GivesStatusOutputAndErrors) {
  const CommandResult result = run_command({"sh", "-c", "cat; echo wrong >&2; exit 7"}, "hello");
  EXPECT_EQ(result.code, 7);
  EXPECT_EQ(result.out, "hello");
  EXPECT_EQ(result.err, "wrong\n");
}

TEST(RunCommand, ReportsTheSignalThatKilled) {
  EXPECT_EQ(run_command({"sh", "-c", "kill -9 $$"}).code, 128 + 9);
}

class ControlPlaneTest : public SharedControlPlane {
 protected:
  // The authorizer learns of a new role by a watch, a moment after the role was written.
  static bool eventually_ok(const std::filesystem::path& kubeconfig, const std::vector<std::string>& args) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < deadline) {
      if (cluster().kubectl_as(kubeconfig, args).ok()) return true;
    }
    return false;
  }
};

TEST_F(ControlPlaneTest, ObeysTheAdministrator) {
  EXPECT_EQ(cluster().kubectl({"auth", "can-i", "*", "*"}).out, "yes\n");
}

TEST_F(ControlPlaneTest, RefusesAUserWithoutARole) {
  const auto jane = cluster().user_kubeconfig("jane");
  const CommandResult before = cluster().kubectl_as(jane, {"get", "pods"});
  EXPECT_EQ(before.code, 1);
  EXPECT_THAT(before.err, HasSubstr("User \"jane\" cannot list resource \"pods\""));

  ASSERT_TRUE(cluster().kubectl({"create", "role", "reader", "--verb=list", "--resource=pods"}).ok());
  ASSERT_TRUE(cluster().kubectl({"create", "rolebinding", "jane", "--role=reader", "--user=jane"}).ok());
  EXPECT_TRUE(eventually_ok(jane, {"get", "pods"}));
}

TEST_F(ControlPlaneTest, KnowsAServiceAccountByItsToken) {
  cluster().create_namespace("robots");
  ASSERT_TRUE(cluster().kubectl({"create", "serviceaccount", "robot", "-n", "robots"}).ok());
  const auto robot = cluster().service_account_kubeconfig("robots", "robot");
  const CommandResult refused = cluster().kubectl_as(robot, {"get", "pods", "-n", "robots"});
  EXPECT_THAT(refused.err, HasSubstr("system:serviceaccount:robots:robot"));
}

TEST_F(ControlPlaneTest, KeepsItsObjectsOverARestartOfTheApiServer) {
  ASSERT_TRUE(cluster().kubectl({"create", "configmap", "kept", "--from-literal=key=value"}).ok());
  cluster().stop_api_server();
  EXPECT_FALSE(cluster().kubectl({"get", "configmap", "kept", "--request-timeout=5s"}).ok());
  cluster().start_api_server();
  EXPECT_EQ(cluster().kubectl({"get", "configmap", "kept", "-o", "jsonpath={.data.key}"}).out, "value");
}

TEST_F(ControlPlaneTest, AcceptsPodsThoughNoControllerMakesServiceAccounts) {
  const CommandResult made = cluster().kubectl({"run", "lonely", "--image=example.test/none:1"});
  EXPECT_TRUE(made.ok()) << made.err;
}

}  // namespace
}  // namespace millrace::testing
