// Tokens with three rotary positions against transformers, and text, which must not notice them.
#include <gtest/gtest.h>

#include <fstream>

#include "engine/backend/cpu/caches.h"
#include "tests/engine/model/family.h"
#include "tests/engine/model/golden_case.h"
#include "tests/engine/model/model_runner.h"
#include "tests/paths.h"
#include "tests/support/temp_directory.h"

namespace millrace::engine::test {
namespace {

using millrace::test::TempDirectory;

constexpr float kAngleTolerance = 2e-4F;  // of cos and sin below position 4096
constexpr float kLogitTolerance = 2e-3F;

nlohmann::json golden() {
  std::ifstream file(std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/mrope.json");
  return nlohmann::json::parse(file);
}

class Mrope : public testing::TestWithParam<std::string> {
 protected:
  RunnerOptions options() const {
    RunnerOptions options;
    options.isa = GetParam();
    return options;
  }
};

// The keys that one layer of attention leaves in the cache for tokens whose key is 1 in the first half of the channels
// and 0 in the second: cos and sin of every angle.
std::vector<float> turned_keys(Backend& backend, const ModelConfig& config,
                               const std::vector<RotaryPosition>& positions) {
  const std::int64_t dim = config.rotary_dim;
  const auto tokens = static_cast<std::int64_t>(positions.size());
  AttentionShape shape{1, 1, dim, dim, false, 1e-6F};
  shape.mrope = config.mrope;
  StepInputs step;
  step.row_begin = {0, static_cast<std::int32_t>(tokens)};
  step.context = {0};
  step.blocks = {0};
  step.max_blocks = 1;
  for (const auto& [time, height, width] : positions) {
    step.token_ids.push_back(0);
    step.positions.push_back(time);
    step.plane_positions.insert(step.plane_positions.end(), {height, width});
  }
  std::vector<float> qkv;
  for (std::int64_t i = 0; i < tokens * 3 * dim; ++i) qkv.push_back(i % dim < dim / 2 ? 1.0F : 0.0F);
  const DeviceTensor in = backend.allocate(tokens, 3 * dim, DType::kF32);
  const DeviceTensor frequencies = backend.allocate(1, dim / 2, DType::kF32);
  const DeviceTensor out = backend.allocate(tokens, dim, DType::kF32);
  backend.upload(in.view, qkv.data());
  backend.upload(frequencies.view, config.inv_freq.data());
  const auto cache = backend.allocate_kv_cache({1, 1, tokens, 1, dim});
  backend.begin_step(step, nullptr);
  backend.attention(shape, in.view, {}, {}, frequencies.view, *cache, 0, out.view);
  backend.finish_step();
  const float* keys = dynamic_cast<const cpu::PagedKv&>(*cache).keys(0, 0, 0);
  return {keys, keys + tokens * dim};
}

TEST_P(Mrope, EveryFrequencyTurnsByItsOwnAxis) {
  const nlohmann::json rotary = golden().at("rotary");
  const ModelConfig config = family_config("0.8B");
  const auto backend = create_backend("cpu", {.threads = 1, .isa = GetParam()});
  const std::vector<RotaryPosition> positions = rotary.at("positions");
  const std::vector<float> found = turned_keys(*backend, config, positions);
  const auto half = static_cast<std::size_t>(config.rotary_dim / 2);
  for (std::size_t token = 0; token < positions.size(); ++token) {
    for (std::size_t j = 0; j < half; ++j) {
      const std::string where = "token " + std::to_string(token) + ", frequency " + std::to_string(j);
      EXPECT_NEAR(found[2 * half * token + j], rotary.at("cos")[half * token + j].get<float>(), kAngleTolerance)
          << where;
      EXPECT_NEAR(found[2 * half * token + half + j], rotary.at("sin")[half * token + j].get<float>(), kAngleTolerance)
          << where;
    }
  }
}

TEST_P(Mrope, LogitsBehindAnImageAgree) {
  const nlohmann::json reference = golden().at("model");
  const GoldenCase checkpoint(reference.at("case").get<std::string>());
  const TempDirectory directory;
  checkpoint.write_checkpoint(directory.path(), /*sharded=*/false);
  const auto comm = make_single_comm();
  const std::vector<TokenId> tokens = reference.at("tokens");
  const std::vector<RotaryPosition> positions = reference.at("positions");
  const std::vector<float> expected = reference.at("logits");
  const auto last = reference.at("logits_of_last").get<std::size_t>();
  // In one step, and cut in the middle of the image with another sequence of plain text beside.
  for (const std::size_t cut : {tokens.size(), std::size_t{15}}) {
    ModelRunner runner(directory.path(), options(), *comm);
    std::vector<Row> rows;
    for (std::size_t begin = 0; begin < tokens.size(); begin += cut) {
      const std::size_t end = std::min(begin + cut, tokens.size());
      Chunk chunk{
          0,
          {tokens.begin() + static_cast<std::ptrdiff_t>(begin), tokens.begin() + static_cast<std::ptrdiff_t>(end)},
          true};
      chunk.positions = {positions.begin() + static_cast<std::ptrdiff_t>(begin),
                         positions.begin() + static_cast<std::ptrdiff_t>(end)};
      rows = runner.step({chunk, {1, {5, 6, 7}}});
      rows.pop_back();
    }
    ASSERT_GE(rows.size(), last);
    for (std::size_t i = 0; i < last; ++i) {
      const Row& row = rows[rows.size() - last + i];
      EXPECT_LE(max_difference(row, std::span(expected).subspan(i * row.size(), row.size())), kLogitTolerance)
          << "row " << i << " of the last " << last;
    }
  }
}

TEST_P(Mrope, TextIsTheSameToTheBitWithOneOrThreePositions) {
  const GoldenCase checkpoint("dense_r1_tied");
  const TempDirectory directory;
  checkpoint.write_checkpoint(directory.path(), /*sharded=*/false);
  const auto comm = make_single_comm();
  const std::vector<TokenId>& tokens = checkpoint.prompts()[kStreamPrompt].tokens;
  Chunk three{0, tokens, true};
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(tokens.size()); ++i) three.positions.push_back({i, i, i});
  ModelRunner runner(directory.path(), options(), *comm);
  const std::vector<Row> expected = runner.step({{0, tokens, true}});
  runner.restart(0);
  EXPECT_EQ(runner.step({three}), expected);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Mrope, testing::Values("plain", ""),
                         [](const auto& info) { return info.param.empty() ? "best" : info.param; });

}  // namespace
}  // namespace millrace::engine::test
