#include "tests/cluster/control_plane.h"

#include <chrono>
#include <cstdlib>
#include <stdexcept>

#include <unistd.h>

#include "tests/paths.h"

namespace millrace::testing {
namespace {

const std::filesystem::path kSource = MILLRACE_SOURCE_DIR;

// Runs a subcommand of control_plane.sh; throws with its messages when it fails.
void control(const std::string& subcommand, const std::filesystem::path& dir, std::vector<std::string> rest = {}) {
  std::vector<std::string> argv = {kSource / "tests/cluster/control_plane.sh", subcommand, dir};
  argv.insert(argv.end(), rest.begin(), rest.end());
  const CommandResult result = run_command(argv);
  if (!result.ok()) throw std::runtime_error("control_plane.sh " + subcommand + ": " + result.err);
}

void require(const CommandResult& result) {
  if (!result.ok()) throw std::runtime_error("kubectl: " + result.err);
}

}  // namespace

std::string find_program(const std::string& name) {
  std::string path = run_command({kSource / "scripts/cluster-tools.sh", "--find", name}).out;
  if (!path.empty() && path.back() == '\n') path.pop_back();
  return path;
}

std::string ControlPlane::unavailable() {
  for (const char* name : {"etcd", "kube-apiserver", "kubectl"}) {
    if (find_program(name).empty()) {
      return std::string(name) + " is absent: run scripts/cluster-tools.sh or set KUBEBUILDER_ASSETS";
    }
  }
  for (const char* name : {"openssl", "curl", "python3"}) {
    if (!run_command({"which", name}).ok()) return std::string(name) + " is absent: run scripts/packages.sh test";
  }
  return {};
}

ControlPlane::ControlPlane() {
  if (std::getenv("MILLRACE_KEEP_CONTROL_PLANE") != nullptr) folder_.keep();
  control("start", dir(), {"--owner", std::to_string(::getpid())});
}

ControlPlane::~ControlPlane() {
  run_command({kSource / "tests/cluster/control_plane.sh", "stop", dir()});
}

CommandResult ControlPlane::kubectl(const std::vector<std::string>& args, const std::string& input) const {
  return kubectl_as(kubeconfig(), args, input);
}

CommandResult ControlPlane::kubectl_as(const std::filesystem::path& kubeconfig, const std::vector<std::string>& args,
                                       const std::string& input) const {
  std::vector<std::string> argv = {find_program("kubectl"), "--kubeconfig", kubeconfig, "--cache-dir",
                                   dir() / "kubectl-cache"};
  argv.insert(argv.end(), args.begin(), args.end());
  return run_command(argv, input);
}

void ControlPlane::install_crd() const {
  require(kubectl({"apply", "--server-side", "-f", kSource / "crds"}));
  if (!eventually_serves("modeldeployments.millrace.dev")) throw std::runtime_error("ModelDeployments are not served");
}

bool ControlPlane::eventually_serves(const std::string& kind) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!kubectl({"get", kind, "-A"}).ok()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
  }
  return true;
}

void ControlPlane::create_namespace(const std::string& name) const {
  require(kubectl({"create", "namespace", name}));
}

CommandResult ControlPlane::install_chart(const std::string& ns, const std::vector<std::string>& values) const {
  const std::string helm = find_program("helm");
  if (helm.empty()) return {1, {}, "helm is absent: run scripts/cluster-tools.sh"};
  std::vector<std::string> argv = {"env",
                                   "HELM_CACHE_HOME=" + (dir() / "helm").string(),
                                   helm,
                                   "upgrade",
                                   "--install",
                                   "millrace",
                                   "--namespace",
                                   ns,
                                   "--kubeconfig",
                                   kubeconfig(),
                                   "--create-namespace",
                                   kSource / "helm/millrace"};
  argv.insert(argv.end(), values.begin(), values.end());
  return run_command(argv);
}

bool ControlPlane::start_controllers() const {
  if (find_program("kube-controller-manager").empty()) return false;
  control("start-controllers", dir());
  return true;
}

void ControlPlane::stop_api_server() const {
  control("stop-api", dir());
}
void ControlPlane::start_api_server() const {
  control("start-api", dir());
}
void ControlPlane::restart_api_server() const {
  stop_api_server();
  start_api_server();
}

std::filesystem::path ControlPlane::user_kubeconfig(const std::string& name,
                                                    const std::vector<std::string>& groups) const {
  std::vector<std::string> rest = {name};
  rest.insert(rest.end(), groups.begin(), groups.end());
  control("user", dir(), rest);
  return dir() / (name + ".kubeconfig");
}

std::string ControlPlane::token(const std::string& ns, const std::string& service_account) const {
  CommandResult result = kubectl({"create", "token", service_account, "--namespace", ns});
  require(result);
  return result.out.substr(0, result.out.find('\n'));
}

std::filesystem::path ControlPlane::service_account_kubeconfig(const std::string& ns,
                                                               const std::string& service_account) const {
  const std::string name = ns + "-" + service_account;
  control("token-user", dir(), {name, token(ns, service_account)});
  return dir() / (name + ".kubeconfig");
}

std::unique_ptr<ControlPlane> SharedControlPlane::cluster_;

void SharedControlPlane::SetUpTestSuite() {
  if (cluster_ == nullptr && ControlPlane::unavailable().empty()) cluster_ = std::make_unique<ControlPlane>();
}

void SharedControlPlane::TearDownTestSuite() {
  cluster_.reset();
}

void SharedControlPlane::SetUp() {
  if (cluster_ == nullptr) GTEST_SKIP() << ControlPlane::unavailable();
}

}  // namespace millrace::testing
