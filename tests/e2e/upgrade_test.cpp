// Upgrades of real agents to copies of the tiny model: its golden prompts let a sound one pass, and take a damaged one
// back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/e2e/command.h"
#include "tests/e2e/local_cluster_fixture.h"
#include "tests/e2e/model_copies.h"

namespace millrace::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class UpgradeTest : public LocalClusterFixture {
 protected:
  void SetUp() override {
    if (!tiny_model().empty()) copy_model(tiny_model(), models() / "one");
    LocalClusterFixture::SetUp();
  }
  std::filesystem::path models() const override { return models_.path(); }

  std::filesystem::path new_copy(const std::string& name) const {
    copy_model(tiny_model(), models() / name);
    return models() / name;
  }

  // One rank, so that a group is one process.
  static Json spec(const std::string& model, const Json& rollout) {
    return {{"replicas", 1},
            {"model", {{"source", "file:///models/" + model}}},
            {"parallelism", {{"tensor", 1}, {"expert", 1}}},
            {"rollout", rollout}};
  }

  std::set<std::string> revisions_of_groups() {
    std::set<std::string> revisions;
    const Json now = status();
    for (const Json& group : now["groups"]) revisions.insert(group["revision"].get<std::string>());
    return revisions;
  }

 private:
  const test::TempDirectory models_;
};

const Json kGoldenPrompts = {
    {"canary",
     {{"durationSeconds", 2},
      {"goldenPrompts",
       {{{"prompt", "Add 5 and 9."}, {"expect", "14"}}, {{"prompt", "Reverse VEG."}, {"expect", "GEV"}}}}}}};

TEST_F(UpgradeTest, GoldenPromptsTakeADamagedModelBackAndLetASoundOnePass) {
  ASSERT_NO_FATAL_FAILURE(serve(spec("one", kGoldenPrompts)));
  const std::string first = status()["currentRevision"];

  reverse_rows(new_copy("damaged"), "model.language_model.layers.3.self_attn.o_proj.weight");
  apply(spec("damaged", kGoldenPrompts));
  ASSERT_TRUE(eventually([&] { return condition("RollbackActive")["status"] == "True"; })) << status().dump(2);
  EXPECT_THAT(
      condition("RollbackActive")["message"].get<std::string>(),
      AllOf(HasSubstr("golden prompt"), HasSubstr("does not contain"), HasSubstr("the stable revision answers it")));
  EXPECT_EQ(condition("Ready")["reason"], "RolledBack");
  ASSERT_TRUE(eventually([&] { return revisions_of_groups() == std::set{first}; })) << status().dump(2);
  EXPECT_EQ(status()["currentRevision"], first);
  EXPECT_TRUE(answers(question("Add 5 and 9.", 4)));

  new_copy("sound");
  apply(spec("sound", kGoldenPrompts));
  ASSERT_TRUE(eventually([&] { return ready() && status()["currentRevision"] != first; })) << status().dump(2);
  EXPECT_EQ(condition("RollbackActive")["status"], "False");
}

}  // namespace
}  // namespace millrace::e2e
