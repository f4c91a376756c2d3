// One layer of each kind at the full width of every released model: every head, channel and dense width as released,
// seeded random weights. The vocabulary is cut to 256 rows, and a mixture to 12 experts (still 8 or 10 per token),
// which no kernel's shape depends on but memory does.
#include <gtest/gtest.h>

#include <mutex>

#include "tests/engine/comm/ranks.h"
#include "tests/engine/model/family.h"
#include "tests/engine/model/model_runner.h"

namespace millrace::engine::test {
namespace {

constexpr float kTolerance = 1e-4F;  // relative to the largest value
constexpr std::int64_t kVocab = 256;
constexpr std::int64_t kExperts = 12;

// Its first layer of Gated DeltaNet, if it has one, and its first layer of attention.
ModelConfig two_layers(const std::string& name) {
  ModelConfig config = family_config(name);
  const bool hybrid = config.num_gdn_layers() > 0;
  config.layers = {LayerKind::kFullAttention};
  if (hybrid) config.layers.insert(config.layers.begin(), LayerKind::kGatedDeltaNet);
  config.vocab = kVocab;
  if (config.is_moe()) config.moe.num_experts = kExperts;
  return config;
}

struct Outcome {
  std::vector<std::vector<float>> residuals;  // after the embedding and every layer, step by step
  std::vector<Row> logits;
};

// A prompt, then single tokens.
Outcome outcome_of(ModelRunner& runner) {
  Outcome outcome;
  runner.model().set_layer_probe([&](std::int64_t, const Tensor& residual) {
    outcome.residuals.emplace_back(static_cast<std::size_t>(residual.rows * residual.cols));
    runner.backend().download(residual, outcome.residuals.back().data());
  });
  for (const std::vector<TokenId>& tokens : {std::vector<TokenId>{7, 200, 31, 255, 0}, {18}, {99}}) {
    for (Row& row : runner.prefill(0, tokens, /*all_logits=*/true)) outcome.logits.push_back(std::move(row));
  }
  return outcome;
}

// What rank 0 of `size` ranks sees.
Outcome run(const ModelConfig& config, const std::string& isa, int size) {
  std::mutex mutex;
  Outcome result;
  on_ranks(Transport::kThreads, size, [&](Comm& comm) {
    RunnerOptions options;
    options.isa = isa;
    options.layout = {comm.rank(), size, 1};
    options.max_tokens = 8;
    options.sequences = 1;
    options.blocks_per_sequence = 1;
    ModelRunner runner(config, 5, options, comm);
    Outcome outcome = outcome_of(runner);
    comm.barrier();
    const std::lock_guard lock(mutex);
    if (comm.rank() == 0) result = std::move(outcome);
  });
  return result;
}

void expect_close(const Outcome& found, const Outcome& expected, const std::string& what) {
  ASSERT_EQ(found.residuals.size(), expected.residuals.size());
  for (std::size_t i = 0; i < found.residuals.size(); ++i) {
    EXPECT_LE(max_difference(found.residuals[i], expected.residuals[i]),
              kTolerance * max_magnitude(expected.residuals[i]))
        << what << ", residual " << i;
  }
  ASSERT_EQ(found.logits.size(), expected.logits.size());
  for (std::size_t i = 0; i < found.logits.size(); ++i) {
    EXPECT_LE(max_difference(found.logits[i], expected.logits[i]), kTolerance * max_magnitude(expected.logits[i]))
        << what << ", logits " << i;
  }
}

class FullWidth : public testing::TestWithParam<std::string> {};

TEST_P(FullWidth, FastKernelsAndTwoRanksGiveWhatThePlainPathGives) {
  const ModelConfig config = two_layers(GetParam());
  const Outcome plain = run(config, "plain", 1);
  expect_close(run(config, "", 1), plain, "fast kernels");
  expect_close(run(config, "", 2), plain, "two ranks");
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& c : name) {
    if (c == '.' || c == '-') c = '_';
  }
  return "of_" + name;
}

INSTANTIATE_TEST_SUITE_P(Models, FullWidth, testing::ValuesIn(family_names()), test_name);

}  // namespace
}  // namespace millrace::engine::test
