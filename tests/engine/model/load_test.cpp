// Loading as the engine does it: progress, sizes, layouts that cannot be, and the trained example.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/paths.h"

#include "common/error.h"
#include "engine/model/tensors.h"
#include "tests/engine/model/family.h"
#include "tests/engine/model/model_runner.h"
#include "tests/engine/model/tiny.h"

namespace millrace::engine::test {
namespace {

using common::Code;
using common::Error;
using millrace::test::TempDirectory;
using testing::HasSubstr;

class Loading : public testing::Test {
 protected:
  std::unique_ptr<Model> load(const nlohmann::json& config, ModelOptions options) {
    write_model(directory_, config, zero_tensors(config));
    options.max_tokens = 8;
    options.max_logit_rows = 8;
    return load_model(directory_.path(), options, *backend_, *comm_);
  }

  TempDirectory directory_;
  std::unique_ptr<Backend> backend_ = create_backend("cpu", BackendOptions{1, "plain"});
  std::unique_ptr<Comm> comm_ = make_single_comm();
};

TEST_F(Loading, ReportsProgressUpToOne) {
  for (const auto& config : {tiny_dense(), tiny_moe()}) {
    std::vector<double> seen;
    ModelOptions options;
    options.on_progress = [&](double done) { seen.push_back(done); };
    load(config, options);
    ASSERT_GT(seen.size(), 10U);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    EXPECT_GT(seen.front(), 0.0);
    EXPECT_EQ(seen.back(), 1.0);
  }
}

TEST_F(Loading, SaysHowMuchARankHolds) {
  const std::unique_ptr<Model> model = load(tiny_moe(), {});
  const auto parameters = static_cast<std::size_t>(count_parameters(model->config()));
  EXPECT_GE(model->weight_bytes(), parameters * 2);
  const KvCacheShape kv = model->kv_cache_shape(7, 16);
  EXPECT_EQ(kv.layers, 1);
  EXPECT_EQ(kv.blocks, 7);
  EXPECT_EQ(kv.kv_heads, 2);
  const StateCacheShape states = model->state_cache_shape(3);
  EXPECT_EQ(states.layers, 1);
  EXPECT_EQ(states.delta.value_heads, 8);
}

TEST_F(Loading, GivesARankItsShareOfTheCaches) {
  ModelOptions options;
  options.layout = {3, 4, 1};
  const std::unique_ptr<Model> model = load(tiny_dense(), options);
  EXPECT_EQ(model->kv_cache_shape(1, 16).kv_heads, 1) << "2 KV heads, 4 ranks";
  EXPECT_EQ(model->state_cache_shape(1).delta.key_heads, 1);
  EXPECT_EQ(model->state_cache_shape(1).delta.value_heads, 2);
}

TEST_F(Loading, RefusesALayoutThatCannotBe) {
  ModelOptions options;
  options.layout = {0, 3, 1};
  try {
    load(tiny_dense(), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("sizes that work: 1, 2, 4"));
  }
}

TEST(ExampleModel, LoadsAndRuns) {
  const std::filesystem::path directory = std::filesystem::path(MILLRACE_SOURCE_DIR) / "examples/models/tiny-moe";
  const bool there = std::filesystem::exists(directory / "model.safetensors.index.json") ||
                     std::filesystem::exists(directory / "model.safetensors");
  if (!there) GTEST_SKIP() << directory << " holds no weights";
  const std::unique_ptr<Comm> comm = make_single_comm();
  ModelRunner runner(directory, RunnerOptions{}, *comm);
  const std::vector<Row> rows = runner.prefill(0, {1, 2, 3, 4, 5, 6, 7, 8});
  ASSERT_EQ(static_cast<std::int64_t>(rows.front().size()), runner.model().config().vocab);
  for (const float logit : rows.front()) ASSERT_TRUE(std::isfinite(logit));
  EXPECT_EQ(runner.greedy(0, rows.front(), 8).size(), 8U);
}

}  // namespace
}  // namespace millrace::engine::test
