#include "operator/kube/kubeconfig.h"

#include <yaml-cpp/yaml.h>

#include <array>
#include <cstdlib>
#include <sstream>

#include "common/base64.h"
#include "common/error.h"
#include "common/file.h"
#include "common/text.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using common::Error;
namespace fs = std::filesystem;

// A mapping of the document with its place in it, so that every complaint can name file and field.
class Section {
 public:
  Section(const YAML::Node& node, std::string field, const fs::path& file)
      : node_(node), field_(std::move(field)), file_(file) {}

  [[noreturn]] void refuse(const std::string& name, const std::string& problem) const {
    throw Error(Code::kInvalidArgument,
                file_.string() + ": " + field_ + (name.empty() ? "" : "." + name) + " " + problem);
  }

  bool has(const char* name) const { return node_.IsMap() && node_[name].IsDefined() && !node_[name].IsNull(); }

  std::string text(const char* name) const {
    if (!has(name)) return "";
    if (!node_[name].IsScalar()) refuse(name, "must be a string");
    return node_[name].Scalar();
  }

  std::string required(const char* name) const {
    std::string value = text(name);
    if (value.empty()) refuse(name, "is missing");
    return value;
  }

  bool flag(const char* name) const {
    if (!has(name)) return false;
    bool value = false;
    if (!YAML::convert<bool>::decode(node_[name], value)) refuse(name, "must be true or false");
    return value;
  }

  Section child(const char* name) const {
    if (has(name) && !node_[name].IsMap()) refuse(name, "must be a mapping");
    return {has(name) ? node_[name] : YAML::Node(YAML::NodeType::Map), field_ + "." + name, file_};
  }

  std::vector<Section> items(const char* name) const {
    std::vector<Section> all;
    if (!has(name)) return all;
    if (!node_[name].IsSequence()) refuse(name, "must be a list");
    all.reserve(node_[name].size());
    for (std::size_t i = 0; i < node_[name].size(); ++i) {
      all.emplace_back(node_[name][i], field_ + "." + name + "[" + std::to_string(i) + "]", file_);
    }
    return all;
  }

  std::vector<std::string> strings(const char* name) const {
    std::vector<std::string> all;
    for (const Section& item : items(name)) {
      if (!item.node_.IsScalar()) item.refuse("", "must be a string");
      all.push_back(item.node_.Scalar());
    }
    return all;
  }

  // "NAME-data" holds base64, NAME a file; the first wins, as in kubectl.
  std::string bytes(const std::string& name) const {
    const std::string data_name = name + "-data";
    if (has(data_name.c_str())) {
      std::optional<std::string> decoded = common::decode_base64(text(data_name.c_str()));
      if (!decoded || decoded->empty()) refuse(data_name, "is not base64");
      return *decoded;
    }
    const std::string path = text(name.c_str());
    return path.empty() ? "" : common::read_file(resolve(path), file_.string() + ": " + field_ + "." + name);
  }

  fs::path resolve(const fs::path& path) const { return path.is_absolute() ? path : file_.parent_path() / path; }

 private:
  YAML::Node node_;
  std::string field_;
  fs::path file_;
};

// The entry of a list of {name, VALUE}; the error lists the names there are.
Section named(const Section& root, const char* list, const char* value, const std::string& name,
              const std::string& wanted_by) {
  std::string known;
  for (const Section& entry : root.items(list)) {
    const std::string entry_name = entry.text("name");
    if (entry_name == name) return entry.child(value);
    known += (known.empty() ? "" : ", ") + entry_name;
  }
  root.refuse(list, "has no entry '" + name + "' (" + wanted_by + "); it has: " + (known.empty() ? "none" : known));
}

void require_pem(const Section& section, const std::string& field, const std::string& pem) {
  if (!pem.empty() && pem.find("-----BEGIN ") == std::string::npos) section.refuse(field, "holds no PEM block");
}

void read_cluster(const Section& cluster, ClusterConfig& config) {
  config.server = cluster.required("server");
  if (config.server.rfind("https://", 0) != 0 && config.server.rfind("http://", 0) != 0) {
    cluster.refuse("server", "is '" + config.server + "'; it must start with https://");
  }
  while (config.server.back() == '/') config.server.pop_back();
  config.insecure_skip_tls_verify = cluster.flag("insecure-skip-tls-verify");
  config.tls_server_name = cluster.text("tls-server-name");
  config.ca_pem = cluster.bytes("certificate-authority");
  require_pem(cluster, "certificate-authority", config.ca_pem);
  if (!cluster.text("proxy-url").empty()) cluster.refuse("proxy-url", "is not supported; remove it");
}

ExecPlugin read_exec(const Section& exec) {
  ExecPlugin plugin;
  plugin.api_version = exec.required("apiVersion");
  if (plugin.api_version != "client.authentication.k8s.io/v1" &&
      plugin.api_version != "client.authentication.k8s.io/v1beta1") {
    exec.refuse("apiVersion",
                "is '" + plugin.api_version + "'; client.authentication.k8s.io/v1 and .../v1beta1 are accepted");
  }
  plugin.command = exec.required("command");
  // As kubectl: a command with a slash is relative to the file, one without is looked up in PATH.
  if (plugin.command.find('/') != std::string::npos) plugin.command = exec.resolve(plugin.command).string();
  plugin.args = exec.strings("args");
  for (const Section& entry : exec.items("env")) plugin.env[entry.required("name")] = entry.text("value");
  plugin.install_hint = exec.text("installHint");
  plugin.provide_cluster_info = exec.flag("provideClusterInfo");
  return plugin;
}

void read_user(const Section& user, ClusterConfig& config) {
  config.client_certificate_pem = user.bytes("client-certificate");
  config.client_key_pem = user.bytes("client-key");
  require_pem(user, "client-certificate", config.client_certificate_pem);
  require_pem(user, "client-key", config.client_key_pem);
  if (config.client_certificate_pem.empty() != config.client_key_pem.empty()) {
    user.refuse(config.client_key_pem.empty() ? "client-key" : "client-certificate",
                "is missing; both belong together");
  }
  config.token = user.text("token");
  if (const std::string file = user.text("tokenFile"); !file.empty()) {
    config.token_file = user.resolve(file);
    config.token.clear();  // the file takes precedence, as in kubectl
    if (!fs::exists(config.token_file))
      user.refuse("tokenFile", "names " + config.token_file.string() + ", which does not exist");
  }
  config.username = user.text("username");
  config.password = user.text("password");
  if (user.has("exec")) config.exec = read_exec(user.child("exec"));
  if (user.has("auth-provider")) {
    user.refuse("auth-provider", "is not supported (it was removed from Kubernetes in 1.26); use exec");
  }
}

YAML::Node load_yaml(std::string_view yaml, const fs::path& file) {
  try {
    YAML::Node root = YAML::Load(std::string(yaml));
    if (root.IsMap()) return root;
  } catch (const YAML::Exception& error) {
    throw Error(Code::kInvalidArgument, file.string() + ": not valid YAML: " + error.what());
  }
  throw Error(Code::kInvalidArgument, file.string() +
                                          ": not a kubeconfig: the document must be a mapping with "
                                          "clusters, users and contexts");
}

std::optional<fs::path> first_existing_of_kubeconfig_variable() {
  const char* variable = std::getenv("KUBECONFIG");
  if (variable == nullptr) return std::nullopt;
  std::istringstream paths(variable);
  for (std::string path; std::getline(paths, path, ':');) {
    if (!path.empty() && fs::exists(path)) return path;
  }
  return std::nullopt;
}

}  // namespace

ClusterConfig parse_kubeconfig(std::string_view yaml, const fs::path& file, std::string_view context) {
  const Section root(load_yaml(yaml, file), "kubeconfig", file);
  const std::string context_name = context.empty() ? root.text("current-context") : std::string(context);
  if (context_name.empty()) root.refuse("current-context", "is missing, and no context was asked for");
  const Section chosen = named(root, "contexts", "context", context_name,
                               context.empty() ? "named by current-context" : "asked for by name");
  ClusterConfig config;
  const std::string of_context = "named by context '" + context_name + "'";
  read_cluster(named(root, "clusters", "cluster", chosen.required("cluster"), of_context), config);
  if (const std::string user = chosen.text("user"); !user.empty()) {
    read_user(named(root, "users", "user", user, of_context), config);
  }
  if (const std::string ns = chosen.text("namespace"); !ns.empty()) config.ns = ns;
  config.origin = "context " + context_name + " of " + file.string();
  return config;
}

ClusterConfig load_kubeconfig(const fs::path& file, std::string_view context) {
  return parse_kubeconfig(common::read_file(file, "kubeconfig"), file, context);
}

bool in_cluster() {
  return std::getenv("KUBERNETES_SERVICE_HOST") != nullptr && std::getenv("KUBERNETES_SERVICE_PORT") != nullptr;
}

ClusterConfig in_cluster_config(const fs::path& folder) {
  const char* address = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (address == nullptr || port == nullptr) {
    throw Error(Code::kNotFound,
                "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is not a pod of a cluster");
  }
  ClusterConfig config;
  const std::string host = address;
  const bool ipv6 = host.find(':') != std::string::npos;
  config.server = "https://" + (ipv6 ? "[" + host + "]" : host) + ":" + port;
  config.ca_pem = common::read_file(folder / "ca.crt", "service account");
  config.token_file = folder / "token";
  common::read_file(config.token_file, "service account");  // complain now, not at the first request
  const std::string ns =
      common::trimmed(common::read_file_if_present(folder / "namespace", "service account").value_or(""));
  if (!ns.empty()) config.ns = ns;
  config.origin = "service account in " + folder.string();
  return config;
}

ClusterConfig find_cluster_config(const fs::path& explicit_file, std::string_view context) {
  if (!explicit_file.empty()) return load_kubeconfig(explicit_file, context);
  if (const auto file = first_existing_of_kubeconfig_variable()) return load_kubeconfig(*file, context);
  if (in_cluster()) return in_cluster_config();
  const char* home = std::getenv("HOME");
  const fs::path standard = fs::path(home ? home : "/root") / ".kube" / "config";
  if (fs::exists(standard)) return load_kubeconfig(standard, context);
  throw Error(Code::kNotFound, "no cluster to talk to: no --kubeconfig was given, KUBECONFIG names no existing file, " +
                                   std::string("KUBERNETES_SERVICE_HOST is not set, and ") + standard.string() +
                                   " does not exist");
}

}  // namespace millrace::controller::kube
