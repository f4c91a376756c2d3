#include "operator/kube/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/error.h"
#include "operator/kube/child_process.h"
#include "operator/kube/timestamp.h"
#include "tests/support/temp_directory.h"

namespace millrace::controller::kube {
namespace {

using common::Code;
using ::testing::HasSubstr;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

class CredentialsTest : public ::testing::Test {
 protected:
  CredentialsTest() { config_.origin = "test"; }
  Credentials credentials() {
    return Credentials(config_, [this] { return now_; });
  }
  // A plugin that runs `script` with sh and counts its runs in the file "runs".
  void use_plugin(const std::string& script) {
    config_.exec = ExecPlugin{"client.authentication.k8s.io/v1",
                              "sh",
                              {"-c", "echo x >> " + (folder_.path() / "runs").string() + "; " + script},
                              {{"GREETING", "hello"}},
                              "install it with care",
                              true};
  }
  int runs() {
    std::ifstream in(folder_.path() / "runs");
    int count = 0;
    for (std::string line; std::getline(in, line);) ++count;
    return count;
  }

  test::TempDirectory folder_;
  ClusterConfig config_;
  std::chrono::system_clock::time_point now_ = *parse_timestamp("2026-01-01T00:00:00Z");
};

std::string credential_json(const std::string& status) {
  return R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{)" + status + "}}";
}

TEST_F(CredentialsTest, AreEmptyWithoutAnyProof) {
  EXPECT_EQ(credentials().authorization(), "");
}

TEST_F(CredentialsTest, PresentAPasswordAsBasic) {
  config_.username = "user";
  config_.password = "pass";
  EXPECT_EQ(credentials().authorization(), "Basic dXNlcjpwYXNz");
}

TEST_F(CredentialsTest, ReadARotatedTokenFileAfterAMinute) {
  config_.token_file = folder_.path() / "token";
  folder_.write("token", "one\n");
  Credentials credentials = this->credentials();
  EXPECT_EQ(credentials.authorization(), "Bearer one");
  folder_.write("token", "two\n");
  EXPECT_EQ(credentials.authorization(), "Bearer one");
  now_ += 61s;
  EXPECT_EQ(credentials.authorization(), "Bearer two");
  folder_.write("token", "three\n");
  EXPECT_TRUE(credentials.refresh());
  EXPECT_EQ(credentials.authorization(), "Bearer three");
}

TEST_F(CredentialsTest, SayThatAStaticTokenCannotBeRefreshed) {
  config_.token = "t";
  Credentials credentials = this->credentials();
  EXPECT_FALSE(credentials.refresh());
  EXPECT_EQ(credentials.authorization(), "Bearer t");
}

TEST_F(CredentialsTest, RunThePluginAgainShortlyBeforeItsCredentialExpires) {
  use_plugin("printf '%s' '" + credential_json(R"("token":"t","expirationTimestamp":"2026-01-01T01:00:00Z")") + "'");
  Credentials credentials = this->credentials();
  EXPECT_EQ(credentials.authorization(), "Bearer t");
  now_ += 59min;
  credentials.authorization();
  EXPECT_EQ(runs(), 1);
  now_ += 55s;
  credentials.authorization();
  EXPECT_EQ(runs(), 2);
  EXPECT_TRUE(credentials.refresh());
  now_ -= 30min;
  credentials.authorization();
  EXPECT_EQ(runs(), 3);
}

TEST_F(CredentialsTest, GiveThePluginItsEnvironmentAndTheCluster) {
  config_.server = "https://h:6443";
  use_plugin(R"sh(server=$(printf '%s' "$KUBERNETES_EXEC_INFO" | grep -o 'https://h:6443')
      printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s-%s"}}' \
        "$GREETING" "$server")sh");
  EXPECT_EQ(credentials().authorization(), "Bearer hello-https://h:6443");
}

TEST_F(CredentialsTest, TakeACertificateFromThePlugin) {
  use_plugin("printf '%s' '" + credential_json(R"("clientCertificateData":"C","clientKeyData":"K")") + "'");
  Credentials credentials = this->credentials();
  EXPECT_EQ(credentials.certificate().certificate_pem, "C");
  EXPECT_EQ(credentials.certificate().key_pem, "K");
}

TEST_F(CredentialsTest, SayWhatIsWrongWithThePlugin) {
  const struct {
    const char* script;
    const char* says;
  } rows[] = {
      {"echo no luck >&2; exit 3", "ended with status 3: no luck"},
      {"echo hello", "did not print an ExecCredential"},
      {R"(echo '{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential"}')",
       "the kubeconfig asks for client.authentication.k8s.io/v1"},
      {R"(echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{}}')",
       "printed neither status.token nor status.clientCertificateData"},
      {R"(echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"clientKeyData":"x"}}')",
       "printed only one of"},
  };
  for (const auto& row : rows) {
    use_plugin(row.script);
    try {
      credentials().authorization();
      FAIL() << row.script;
    } catch (const common::Error& error) {
      EXPECT_EQ(error.code(), Code::kUnauthenticated);
      EXPECT_THAT(error.what(), HasSubstr(row.says));
    }
  }
}

TEST_F(CredentialsTest, RepeatTheInstallHintWhenThePluginIsMissing) {
  use_plugin("");
  config_.exec->command = "/absent/plugin";
  try {
    credentials().authorization();
    FAIL();
  } catch (const common::Error& error) {
    EXPECT_THAT(error.what(), ::testing::AllOf(HasSubstr("/absent/plugin"), HasSubstr("install it with care")));
  }
}

TEST(ChildProcess, IsKilledWithItsChildrenAfterItsLimit) {
  const ChildResult result = run_child("sh", {"-c", "sleep 600 & sleep 600"}, {}, 50ms);
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.exit_status, 128 + 9);
}

TEST(ChildProcess, KeepsBothOutputsAndTheStatus) {
  const ChildResult result = run_child("sh", {"-c", "echo out; echo err >&2; exit 7"}, {}, 10s);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(result.exit_status, 7);
}

TEST(ChildProcess, BoundsWhatItKeeps) {
  const ChildResult result = run_child("sh", {"-c", "head -c 3000000 /dev/zero"}, {}, 10s);
  EXPECT_EQ(result.out.size(), 1U << 20);
  EXPECT_EQ(result.exit_status, 0);
}

}  // namespace
}  // namespace millrace::controller::kube
