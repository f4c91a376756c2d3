#include "operator/kube/credentials.h"

#include <ctime>

#include "common/base64.h"
#include "common/error.h"
#include "common/secret.h"
#include "operator/kube/child_process.h"
#include "operator/kube/object.h"
#include "operator/kube/timestamp.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using common::Error;

constexpr std::chrono::seconds kTokenFileAge{60};
constexpr std::chrono::seconds kExecLimit{30};
constexpr std::chrono::seconds kExpiryMargin{10};

// Whatever is wrong with the file, it is a matter of credentials.
std::string read_token(const std::filesystem::path& file) try {
  return common::read_secret_file(file);
} catch (const Error& error) {
  throw Error(Code::kUnauthenticated, std::string("bearer token: ") + error.what());
}

[[noreturn]] void refuse(const ExecPlugin& plugin, const std::string& problem) {
  throw Error(Code::kUnauthenticated, "credential plugin '" + plugin.command + "' " + problem);
}

// What the plugin is told, in the variable KUBERNETES_EXEC_INFO.
std::string exec_info(const ExecPlugin& plugin, const ClusterConfig& config) {
  Json spec = {{"interactive", false}};
  if (plugin.provide_cluster_info) {
    spec["cluster"] = {{"server", config.server}};
    if (!config.ca_pem.empty()) spec["cluster"]["certificate-authority-data"] = common::encode_base64(config.ca_pem);
    if (!config.tls_server_name.empty()) spec["cluster"]["tls-server-name"] = config.tls_server_name;
    if (config.insecure_skip_tls_verify) spec["cluster"]["insecure-skip-tls-verify"] = true;
  }
  return Json{{"apiVersion", plugin.api_version}, {"kind", "ExecCredential"}, {"spec", spec}}.dump();
}

}  // namespace

ExecCredential parse_exec_credential(std::string_view output, const ExecPlugin& plugin) {
  const Object document(parse_document(output));
  if (document.kind() != "ExecCredential") refuse(plugin, "did not print an ExecCredential");
  if (document.api_version() != plugin.api_version) {
    refuse(plugin,
           "printed apiVersion '" + document.api_version() + "'; the kubeconfig asks for " + plugin.api_version);
  }
  ExecCredential credential;
  credential.token = document.string_at("/status/token");
  credential.certificate = {document.string_at("/status/clientCertificateData"),
                            document.string_at("/status/clientKeyData")};
  if (credential.certificate.certificate_pem.empty() != credential.certificate.key_pem.empty()) {
    refuse(plugin, "printed only one of status.clientCertificateData and status.clientKeyData");
  }
  if (credential.token.empty() && credential.certificate.key_pem.empty()) {
    refuse(plugin, "printed neither status.token nor status.clientCertificateData");
  }
  if (const std::string expires = document.string_at("/status/expirationTimestamp"); !expires.empty()) {
    credential.expires = parse_timestamp(expires);
    if (!credential.expires)
      refuse(plugin, "printed status.expirationTimestamp '" + expires + "', which is not RFC 3339");
  }
  return credential;
}

ExecCredential run_exec_plugin(const ExecPlugin& plugin, const ClusterConfig& config, std::chrono::milliseconds limit) {
  std::map<std::string, std::string> env = plugin.env;
  env["KUBERNETES_EXEC_INFO"] = exec_info(plugin, config);
  ChildResult result;
  try {
    result = run_child(plugin.command, plugin.args, env, limit);
  } catch (const Error& error) {
    refuse(plugin, "(" + config.origin + "): " + error.what() + (plugin.install_hint.empty() ? "" : "; ") +
                       plugin.install_hint);
  }
  if (result.timed_out) refuse(plugin, "did not end within " + std::to_string(limit.count()) + " ms");
  if (result.exit_status != 0) {
    refuse(plugin, "ended with status " + std::to_string(result.exit_status) + ": " + result.err.substr(0, 500));
  }
  return parse_exec_credential(result.out, plugin);
}

Credentials::Credentials(const ClusterConfig& config, std::function<Clock::time_point()> now)
    : config_(config), now_(std::move(now)) {}

std::string Credentials::authorization() {
  const std::lock_guard lock(mutex_);
  ensure_locked();
  if (!token_.empty()) return "Bearer " + token_;
  if (!config_.username.empty()) return "Basic " + common::encode_base64(config_.username + ":" + config_.password);
  return "";
}

ClientCertificate Credentials::certificate() {
  const std::lock_guard lock(mutex_);
  ensure_locked();
  return certificate_;
}

bool Credentials::refresh() {
  const std::lock_guard lock(mutex_);
  loaded_ = false;
  return config_.exec || !config_.token_file.empty();
}

void Credentials::ensure_locked() {
  if (loaded_ && now_() < use_until_) return;
  token_ = config_.token;
  certificate_ = {config_.client_certificate_pem, config_.client_key_pem};
  use_until_ = Clock::time_point::max();
  if (!config_.token_file.empty()) {
    token_ = read_token(config_.token_file);
    use_until_ = now_() + kTokenFileAge;
  } else if (config_.exec) {
    ExecCredential credential = run_exec_plugin(*config_.exec, config_, kExecLimit);
    if (!credential.token.empty()) token_ = std::move(credential.token);
    if (!credential.certificate.key_pem.empty()) certificate_ = std::move(credential.certificate);
    if (credential.expires) use_until_ = *credential.expires - kExpiryMargin;
  }
  loaded_ = true;
}

}  // namespace millrace::controller::kube
