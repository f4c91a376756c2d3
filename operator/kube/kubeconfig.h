// Where the API server is and how to prove who we are: from a kubeconfig file, or from a pod's service account.
// Parsing is pure except for the files a kubeconfig names. Errors (kInvalidArgument, kNotFound) name file and field.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::controller::kube {

// A credential plugin (client.authentication.k8s.io/v1 or v1beta1): a program that prints an ExecCredential.
struct ExecPlugin {
  std::string api_version;
  std::string command;
  std::vector<std::string> args;
  std::map<std::string, std::string> env;  // added to ours
  std::string install_hint;                // shown when the command cannot be started
  bool provide_cluster_info = false;
};

struct ClusterConfig {
  std::string server;  // "https://host:port", perhaps with a path; no trailing slash
  std::string ca_pem;  // empty: the system's authorities
  std::string tls_server_name;
  bool insecure_skip_tls_verify = false;

  // At most one of these ways is normally set; a certificate may come with a token.
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string token;
  std::filesystem::path token_file;  // read again while running: service-account tokens rotate
  std::string username, password;
  std::optional<ExecPlugin> exec;

  std::string ns = "default";  // of the context, or of the pod
  std::string origin;          // "context dev of /root/.kube/config", for messages
};

// `file` names the document in messages and is the base of relative paths in it. `context` empty: current-context.
ClusterConfig parse_kubeconfig(std::string_view yaml, const std::filesystem::path& file, std::string_view context = "");
ClusterConfig load_kubeconfig(const std::filesystem::path& file, std::string_view context = "");

inline constexpr const char* kServiceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

// From KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT and the files token, ca.crt and namespace of `folder`.
bool in_cluster();
ClusterConfig in_cluster_config(const std::filesystem::path& folder = kServiceAccountFolder);

// The first that exists: `explicit_file` (an error when it does not), $KUBECONFIG (its first existing file), the pod's
// service account, ~/.kube/config. The error lists what was looked for.
ClusterConfig find_cluster_config(const std::filesystem::path& explicit_file, std::string_view context = "");

}  // namespace millrace::controller::kube
