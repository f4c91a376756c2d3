// `millrace up`, as a user runs it, with real agents.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "tests/paths.h"

#include "tests/e2e/command.h"

namespace millrace::e2e {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

const std::string kManifest = std::string(MILLRACE_SOURCE_DIR) + "/examples/tiny-moe.yaml";

class UpCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    if (tiny_model().empty()) GTEST_SKIP() << "examples/models/tiny-moe has no weights";
  }
};

TEST_F(UpCommand, AnswersAQuestionAndEnds) {
  Command up(MILLRACE_PROGRAM, {"up", "-f", kManifest, "--once", "--port", "0"});
  ASSERT_EQ(up.wait(seconds(240)), 0) << up.output();
  EXPECT_THAT(up.output(), HasSubstr("md/tiny-moe"));
  EXPECT_THAT(up.output(), HasSubstr("time to first token"));
}

TEST_F(UpCommand, EndsEveryProcessOnCtrlC) {
  Command up(MILLRACE_PROGRAM, {"up", "-f", kManifest, "--no-ask", "--port", "0"});
  ASSERT_TRUE(up.wait_for("serves at http://127.0.0.1:", seconds(240))) << up.output();
  EXPECT_THAT(up.output(), HasSubstr("from openai import OpenAI"));
  const std::vector<pid_t> agents = up.children();
  EXPECT_EQ(agents.size(), 2U);
  up.signal(SIGINT);
  EXPECT_EQ(up.wait(seconds(60)), 0) << up.output();
  for (const pid_t agent : agents) EXPECT_FALSE(is_running(agent));
}

TEST(UpCommandErrors, NamesWhatIsWrongWithAManifest) {
  const std::string file = ::testing::TempDir() + "/bad-up.yaml";
  std::ofstream(file) << "apiVersion: millrace.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: m}\n"
                         "spec: {model: {source: 'file:///models/m'}, replica: 2}\n";
  Command up(MILLRACE_PROGRAM, {"up", "-f", file, "--once", "--port", "0"});
  EXPECT_EQ(up.wait(seconds(30)), 1);
  EXPECT_THAT(up.output(), HasSubstr("spec.replica is not a field"));
}

TEST(UpCommandErrors, NamesAModelFolderThatIsNotThere) {
  const std::string file = ::testing::TempDir() + "/lost-up.yaml";
  std::ofstream(file) << "apiVersion: millrace.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: m}\n"
                         "spec: {model: {source: 'file:///models/nowhere'}}\n";
  Command up(MILLRACE_PROGRAM, {"up", "-f", file, "--once", "--port", "0", "--models-dir", ::testing::TempDir()});
  EXPECT_EQ(up.wait(seconds(60)), 1);
  EXPECT_THAT(up.output(), HasSubstr("there is no folder"));
  EXPECT_THAT(up.output(), HasSubstr("nowhere"));
}

TEST(UpCommandErrors, NamesADeviceThatThisMachineLacks) {
  const std::string file = ::testing::TempDir() + "/gpu-up.yaml";
  std::ofstream(file) << "apiVersion: millrace.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: m}\n"
                         "spec: {model: {source: 'file:///tmp'}, devices: {resource: example.com/gpu}}\n";
  Command up(MILLRACE_PROGRAM, {"up", "-f", file, "--once", "--port", "0"});
  EXPECT_EQ(up.wait(seconds(60)), 1);
  EXPECT_THAT(up.output(), HasSubstr("Insufficient example.com/gpu"));
}

}  // namespace
}  // namespace millrace::e2e
