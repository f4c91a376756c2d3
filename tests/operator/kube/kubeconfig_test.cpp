#include "operator/kube/kubeconfig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/fault.h"
#include "tests/support/temp_directory.h"

namespace millrace::controller::kube {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

// "-----BEGIN A-----" in base64, enough for a test that opens no connection.
constexpr const char* kPemBase64 = "LS0tLS1CRUdJTiBBLS0tLS0=";

std::string document(const std::string& cluster, const std::string& user, const std::string& context = "") {
  return "apiVersion: v1\nkind: Config\ncurrent-context: dev\nclusters:\n- name: c\n  cluster: {" + cluster +
         "}\nusers:\n- name: u\n  user: {" + user + "}\ncontexts:\n- name: dev\n  context: {cluster: c, user: u" +
         context + "}\n";
}

std::string complaint(const std::string& yaml, const std::string& context = "") {
  return test::fault_of([&] { parse_kubeconfig(yaml, "/etc/kc", context); }).message;
}

TEST(Kubeconfig, ReadsInlineCertificatesAndTheNamespace) {
  const std::string pem = kPemBase64;
  const ClusterConfig config = parse_kubeconfig(
      document("server: 'https://h:6443/', certificate-authority-data: " + pem + ", tls-server-name: n",
               "client-certificate-data: " + pem + ", client-key-data: " + pem, ", namespace: team"),
      "/etc/kc");
  EXPECT_EQ(config.server, "https://h:6443");
  EXPECT_EQ(config.ca_pem, "-----BEGIN A-----");
  EXPECT_EQ(config.client_certificate_pem, "-----BEGIN A-----");
  EXPECT_EQ(config.client_key_pem, "-----BEGIN A-----");
  EXPECT_EQ(config.tls_server_name, "n");
  EXPECT_EQ(config.ns, "team");
  EXPECT_EQ(config.origin, "context dev of /etc/kc");
}

TEST(Kubeconfig, ReadsBase64AsKubectlDoes) {
  const std::string folded = "certificate-authority-data: \"LS0tLS1CRUdJTiBB\\r\\nLS0tLS0=\\n\"";
  EXPECT_EQ(parse_kubeconfig(document("server: 'https://h', " + folded, ""), "/etc/kc").ca_pem, "-----BEGIN A-----");
  for (const char* data : {"LS0tLS1CRUdJTiBBLS0tLS0", "LS0tLS1CRUdJTiBB LS0tLS0=", "LS0tLS1CRUdJTiBBLS0tLS0=="}) {
    EXPECT_THAT(complaint(document("server: 'https://h', certificate-authority-data: '" + std::string(data) + "'", "")),
                HasSubstr("certificate-authority-data is not base64"));
  }
}

TEST(Kubeconfig, ReadsFilesRelativeToItself) {
  const test::TempDirectory folder;
  folder.write("ca.pem", "-----BEGIN CA");
  folder.write("token", "t");
  const fs::path file =
      folder.write("config", document("server: 'https://h', certificate-authority: ca.pem", "tokenFile: token"));
  const ClusterConfig config = load_kubeconfig(file);
  EXPECT_EQ(config.ca_pem, "-----BEGIN CA");
  EXPECT_EQ(config.token_file, folder.path() / "token");
}

TEST(Kubeconfig, ReadsTokenPasswordAndInsecure) {
  const ClusterConfig config =
      parse_kubeconfig(document("server: 'https://h', insecure-skip-tls-verify: true", "token: abc"), "/etc/kc");
  EXPECT_EQ(config.token, "abc");
  EXPECT_TRUE(config.insecure_skip_tls_verify);
  EXPECT_EQ(config.ns, "default");
}

TEST(Kubeconfig, ReadsACredentialPlugin) {
  const ClusterConfig config = parse_kubeconfig(
      document("server: 'https://h'",
               "exec: {apiVersion: client.authentication.k8s.io/v1, command: get-token, args: [a, 'b c'], "
               "env: [{name: X, value: '1'}], installHint: install it, provideClusterInfo: true}"),
      "/etc/kc");
  ASSERT_TRUE(config.exec);
  EXPECT_EQ(config.exec->command, "get-token");
  EXPECT_THAT(config.exec->args, ::testing::ElementsAre("a", "b c"));
  EXPECT_EQ(config.exec->env.at("X"), "1");
  EXPECT_TRUE(config.exec->provide_cluster_info);
}

TEST(Kubeconfig, NamesFileAndFieldOfWhatIsWrong) {
  const std::string exec_v0 = "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}";
  const struct {
    std::string yaml;
    const char* says;
  } rows[] = {
      {"a: [", "not valid YAML"},
      {"- 1", "must be a mapping"},
      {"clusters: []", "kubeconfig.current-context is missing"},
      {"current-context: dev\ncontexts: []",
       "kubeconfig.contexts has no entry 'dev' (named by current-context); it has: none"},
      {"current-context: dev\ncontexts: {}", "kubeconfig.contexts must be a list"},
      {document("", ""), "cluster.server is missing"},
      {document("server: 'ftp://h'", ""), "is 'ftp://h'; it must start with https://"},
      {document("server: [1]", ""), "cluster.server must be a string"},
      {document("server: 'https://h', certificate-authority-data: '***'", ""),
       "certificate-authority-data is not base64"},
      {document("server: 'https://h', certificate-authority-data: YWJj", ""),
       "certificate-authority holds no PEM block"},
      {document("server: 'https://h', certificate-authority: /absent/ca", ""), "cannot read /absent/ca"},
      {document("server: 'https://h', insecure-skip-tls-verify: perhaps", ""), "must be true or false"},
      {document("server: 'https://h'", std::string("client-certificate-data: ") + kPemBase64),
       "user.client-key is missing"},
      {document("server: 'https://h'", "tokenFile: /absent/token"), "names /absent/token, which does not exist"},
      {document("server: 'https://h'", "exec: {command: x}"), "exec.apiVersion is missing"},
      {document("server: 'https://h'", exec_v0), "client.authentication.k8s.io/v1 and .../v1beta1 are accepted"},
      {document("server: 'https://h'", "auth-provider: {name: gcp}"), "auth-provider is not supported"},
  };
  for (const auto& row : rows) {
    EXPECT_THAT(complaint(row.yaml), AllOf(HasSubstr("/etc/kc"), HasSubstr(row.says))) << row.yaml;
  }
}

TEST(Kubeconfig, ListsTheContextsThereAreWhenAskedForAnother) {
  EXPECT_THAT(complaint(document("server: 'https://h'", ""), "prod"),
              HasSubstr("kubeconfig.contexts has no entry 'prod' (asked for by name); it has: dev"));
}

TEST(InClusterConfig, ReadsTheServiceAccount) {
  const test::TempDirectory folder;
  folder.write("ca.crt", "-----BEGIN CA");
  folder.write("token", "t");
  folder.write("namespace", "millrace-system\n");
  ::setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  ::setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  const ClusterConfig config = in_cluster_config(folder.path());
  EXPECT_EQ(config.server, "https://[fd00::1]:443");
  EXPECT_EQ(config.ns, "millrace-system");
  EXPECT_EQ(config.token_file, folder.path() / "token");
  fs::remove(folder.path() / "token");
  EXPECT_THROW(in_cluster_config(folder.path()), common::Error);
  ::unsetenv("KUBERNETES_SERVICE_HOST");
  EXPECT_THROW(in_cluster_config(folder.path()), common::Error);
  ::unsetenv("KUBERNETES_SERVICE_PORT");
}

TEST(FindClusterConfig, SaysWhereItLooked) {
  const test::TempDirectory folder;
  ::setenv("HOME", folder.path().c_str(), 1);
  ::unsetenv("KUBECONFIG");
  try {
    find_cluster_config({});
    FAIL();
  } catch (const common::Error& error) {
    EXPECT_EQ(error.code(), common::Code::kNotFound);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("KUBECONFIG"), HasSubstr(folder.path().string() + "/.kube/config")));
  }
  EXPECT_THROW(find_cluster_config("/absent/kc"), common::Error);
  const fs::path file = folder.write("kc", document("server: 'https://h'", "token: t"));
  ::setenv("KUBECONFIG", ("/absent:" + file.string()).c_str(), 1);
  EXPECT_EQ(find_cluster_config({}).token, "t");
  ::unsetenv("KUBECONFIG");
}

}  // namespace
}  // namespace millrace::controller::kube
