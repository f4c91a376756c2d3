// `millrace plan`, as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/paths.h"

#include "tests/e2e/command.h"

namespace millrace::e2e {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

std::string example(const std::string& name) {
  return std::string(MILLRACE_SOURCE_DIR) + "/examples/" + name;
}

TEST(PlanCommand, ShowsGroupsPodsRanksAndZones) {
  Command plan(MILLRACE_PROGRAM, {"plan", "-f", example("tiny-moe.yaml"), "--zones", "x,y"});
  ASSERT_EQ(plan.wait(seconds(30)), 0) << plan.output();
  EXPECT_THAT(plan.output(), HasSubstr("ModelDeployment default/tiny-moe"));
  EXPECT_THAT(plan.output(), HasSubstr("each 2 ranks in 2 pods of one zone"));
  EXPECT_THAT(plan.output(), HasSubstr("follower"));
}

TEST(PlanCommand, PlansEveryExample) {
  for (const auto& file : std::filesystem::directory_iterator(example(""))) {
    if (file.path().extension() != ".yaml") continue;
    Command plan(MILLRACE_PROGRAM, {"plan", "-f", file.path().string()});
    EXPECT_EQ(plan.wait(seconds(30)), 0) << file.path() << "\n" << plan.output();
  }
}

TEST(PlanCommand, SaysWhatWouldBeRefused) {
  const std::string file = ::testing::TempDir() + "/bad.yaml";
  std::ofstream(file) << "apiVersion: millrace.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: m}\n"
                         "spec: {replicas: -1, parallelism: {tensor: 3}}\n";
  Command plan(MILLRACE_PROGRAM, {"plan", "-f", file});
  EXPECT_EQ(plan.wait(seconds(30)), 1);
  EXPECT_THAT(plan.output(), HasSubstr("spec.replicas is -1"));
  EXPECT_THAT(plan.output(), HasSubstr("spec.parallelism.tensor is 3"));
  EXPECT_THAT(plan.output(), HasSubstr("spec.model is missing"));
}

}  // namespace
}  // namespace millrace::e2e
