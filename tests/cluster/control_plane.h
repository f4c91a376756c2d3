// A real Kubernetes API server for tests: etcd and kube-apiserver of scripts/cluster-tools.sh (or KUBEBUILDER_ASSETS)
// on free loopback ports, with TLS and RBAC. No scheduler or nodes run, and no controllers unless asked for: owner
// references are not collected, pods stay Pending and namespaces stay Terminating unless the test plays that part.
//
// Starting takes 4 to 15 seconds, so a suite shares one (SharedControlPlane). The servers end with this object, and
// also when the process dies without destroying it. Not thread-safe except kubectl().
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/temp_directory.h"

namespace millrace::testing {

struct CommandResult {
  int code = -1;    // exit status, 128 + signal when it was killed
  std::string out;  // standard output
  std::string err;  // standard error
  bool ok() const { return code == 0; }
};

// Runs argv[0] found in PATH with `input` on its standard input and waits for it.
CommandResult run_command(const std::vector<std::string>& argv, const std::string& input = {});

// Path of a program of scripts/cluster-tools.sh (kubectl, helm, kubeconform, ...); empty when it was never built.
std::string find_program(const std::string& name);

class ControlPlane {
 public:
  // Why no control plane can run here ("kube-apiserver is absent: ..."); empty when one can.
  static std::string unavailable();

  // Ready when this returns. Throws std::runtime_error with the end of the servers' logs when they do not start.
  ControlPlane();
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  // Kubeconfig of a member of system:masters, with inline client certificate.
  std::filesystem::path kubeconfig() const { return dir() / "admin.kubeconfig"; }
  // Folder with the servers' logs, removed at the end.
  const std::filesystem::path& dir() const { return folder_.path(); }

  // kubectl as the administrator. Arguments are passed as they are; "-f", "-" reads `input`.
  CommandResult kubectl(const std::vector<std::string>& args, const std::string& input = {}) const;
  CommandResult kubectl_as(const std::filesystem::path& kubeconfig, const std::vector<std::string>& args,
                           const std::string& input = {}) const;

  // Applies crds/ and waits until ModelDeployments are served.
  void install_crd() const;
  // Until objects of the kind can be listed: that follows a moment after its CRD is established.
  bool eventually_serves(const std::string& kind) const;
  void create_namespace(const std::string& name) const;
  // Installs (or upgrades) helm/millrace as release "millrace" in namespace `ns`, CRD and roles included; the
  // operator's service account is then "millrace-operator" there. `values` are helm's arguments ("--set",
  // "namespaces={a}"). Fails when helm is absent.
  CommandResult install_chart(const std::string& ns, const std::vector<std::string>& values = {}) const;

  // Also runs kube-controller-manager: owners are collected, namespaces finish, budgets and endpoints are computed.
  // False when the program was never built (scripts/cluster-tools.sh --nodes).
  bool start_controllers() const;

  // The API server's audit log: every write of everybody, one JSON document a line (audit.h reads it).
  std::filesystem::path audit_log() const { return dir() / "audit.log"; }

  // The server goes away (connections are cut) and comes back at the same address with the same data.
  void stop_api_server() const;
  void start_api_server() const;
  void restart_api_server() const;

  // Kubeconfig of a user known by a client certificate: no right but those that RBAC gives to the name or the groups.
  std::filesystem::path user_kubeconfig(const std::string& name, const std::vector<std::string>& groups = {}) const;
  // Bearer token of an existing service account, valid for an hour.
  std::string token(const std::string& ns, const std::string& service_account) const;
  std::filesystem::path service_account_kubeconfig(const std::string& ns, const std::string& service_account) const;

 private:
  millrace::test::TempDirectory folder_;
};

// Base of suites that share one control plane; every test is skipped, with the reason, where none can run.
//   class Watch : public millrace::testing::SharedControlPlane {};
//   TEST_F(Watch, SurvivesARestart) { cluster().restart_api_server(); ... }
class SharedControlPlane : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;
  static ControlPlane& cluster() { return *cluster_; }

 private:
  static std::unique_ptr<ControlPlane> cluster_;
};

}  // namespace millrace::testing
