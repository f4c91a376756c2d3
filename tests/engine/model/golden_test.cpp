// The forward pass against transformers in fp32. Thresholds: the checklist of the family's specification, section 9.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "engine/backend/cpu/caches.h"
#include "tests/engine/model/golden_case.h"
#include "tests/engine/model/model_runner.h"
#include "tests/engine/model/safetensors_writer.h"
#include "tests/support/temp_directory.h"

namespace millrace::engine::test {
namespace {

using millrace::test::TempDirectory;

constexpr float kStreamTolerance = 1e-4F;  // relative to the largest value
constexpr float kMaxLogitTolerance = 2e-3F;
constexpr double kMeanLogitTolerance = 2e-4;
constexpr float kSureMargin = 1e-3F;  // below it two tokens may swap
constexpr float kSureExpertMargin = 1e-5F;
constexpr float kStateTolerance = 1e-4F;

// A case, and the kernels to run it with: the plain ones or the best of this machine.
struct GoldenParam {
  std::string name;
  std::string isa;
};

class Golden : public testing::TestWithParam<GoldenParam> {
 protected:
  Golden() : golden_(GetParam().name) { golden_.write_checkpoint(directory_.path(), /*sharded=*/true); }

  ModelRunner runner() {
    RunnerOptions options;
    options.isa = GetParam().isa;
    return ModelRunner(directory_.path(), options, *comm_);
  }

  GoldenCase golden_;
  TempDirectory directory_;
  std::unique_ptr<Comm> comm_ = make_single_comm();
};

class GoldenDelta : public Golden {};
class GoldenMoe : public Golden {};

// Identical up to a step where the reference itself could hardly decide.
void expect_same_greedy(const std::vector<TokenId>& found, const GoldenPrompt& prompt) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i] == prompt.greedy[i]) continue;
    EXPECT_LT(prompt.greedy_margins[i], kSureMargin)
        << "token " << i << " is " << found[i] << ", not " << prompt.greedy[i];
    return;
  }
}

TEST_P(Golden, TheGeneratorMakesTheWeightsOfTheReference) {
  for (const auto& spec : golden_.header().at("tensors")) {
    const auto check = golden_.header().at("weight_check").find(spec.at("name"));
    if (check == golden_.header().at("weight_check").end()) continue;
    const std::string bytes =
        generated_bytes(golden_.header().at("seed"), spec.at("name"), 4, "F32", spec.at("offset"), spec.at("scale"));
    for (std::size_t i = 0; i < 4; ++i) {
      float value = 0.0F;
      std::memcpy(&value, bytes.data() + 4 * i, 4);
      EXPECT_NEAR(value, check->at(i).get<float>(), std::fabs(value) * 0.004F + 1e-6F) << spec.at("name");
    }
  }
}

TEST_P(Golden, LogitsAgreeAtEveryPosition) {
  ModelRunner runner = this->runner();
  for (const GoldenPrompt& prompt : golden_.prompts()) {
    runner.restart(0);
    const std::vector<Row> rows = runner.prefill(0, prompt.tokens, /*all_logits=*/true);
    ASSERT_EQ(rows.size(), prompt.tokens.size());
    const std::size_t vocab = rows.front().size();
    double sum = 0.0;
    for (std::size_t i = 0; i < prompt.logit_positions.size(); ++i) {
      const Row& row = rows[static_cast<std::size_t>(prompt.logit_positions[i])];
      const std::span<const float> expected = prompt.logits.subspan(i * vocab, vocab);
      EXPECT_LE(max_difference(row, expected), kMaxLogitTolerance) << "position " << prompt.logit_positions[i];
      for (std::size_t j = 0; j < vocab; ++j) sum += std::fabs(row[j] - expected[j]);
    }
    EXPECT_LE(sum / static_cast<double>(prompt.logits.size()), kMeanLogitTolerance);
  }
}

TEST_P(Golden, GreedyTokensAgree) {
  ModelRunner runner = this->runner();
  for (const GoldenPrompt& prompt : golden_.prompts()) {
    runner.restart(0);
    const std::vector<Row> rows = runner.prefill(0, prompt.tokens);
    const int count = static_cast<int>(prompt.greedy.size());
    expect_same_greedy(runner.greedy(0, rows.front(), count), prompt);
  }
}

TEST_P(Golden, TheResidualStreamAgreesAfterEveryLayer) {
  const GoldenPrompt& prompt = golden_.prompts()[kStreamPrompt];
  const std::span<const float> stream = golden_.array("stream");  // embedding, layers, final norm
  ModelRunner runner = this->runner();
  std::int64_t layers_seen = 0;
  runner.model().set_layer_probe([&](std::int64_t layer, const Tensor& residual) {
    std::vector<float> found(static_cast<std::size_t>(residual.rows * residual.cols));
    runner.backend().download(residual, found.data());
    const std::span<const float> expected =
        stream.subspan(static_cast<std::size_t>(layer + 1) * found.size(), found.size());
    EXPECT_LE(max_difference(found, expected), kStreamTolerance * max_magnitude(expected)) << "layer " << layer;
    ++layers_seen;
  });
  runner.prefill(0, prompt.tokens);
  EXPECT_EQ(layers_seen, runner.model().config().num_layers() + 1);
}

TEST_P(GoldenDelta, RecurrentStatesAgreeAfterThePrompt) {
  ModelRunner runner = this->runner();
  runner.prefill(0, golden_.prompts()[kStreamPrompt].tokens);
  const std::vector<std::int64_t> shape = golden_.array_shape("state_slices");  // layers, heads, dk / 9, dv / 7
  const std::span<const float> expected = golden_.array("state_slices");
  const auto& pool = dynamic_cast<const cpu::StatePool&>(*runner.states());
  const std::int64_t value_dim = pool.shape().delta.value_dim;
  std::vector<float> found;
  for (std::int64_t layer = 0; layer < shape[0]; ++layer) {
    for (std::int64_t head = 0; head < shape[1]; ++head) {
      const float* state = pool.recurrent(layer, 0, head);
      for (std::int64_t k = 0; k < shape[2]; ++k) {
        for (std::int64_t v = 0; v < shape[3]; ++v) found.push_back(state[9 * k * value_dim + 7 * v]);
      }
    }
  }
  EXPECT_LE(max_difference(found, expected), kStateTolerance * max_magnitude(expected));
}

TEST_P(GoldenMoe, RoutersChooseTheSameExperts) {
  const auto& entry = golden_.header().at("prompts").at(kStreamPrompt);
  ModelRunner runner = this->runner();
  const std::int64_t experts = runner.model().config().moe.num_experts;
  const std::vector<TokenId>& tokens = golden_.prompts()[kStreamPrompt].tokens;
  for (std::size_t position = 0; position < tokens.size(); ++position) {
    runner.prefill(0, {tokens[position]});
    const std::vector<std::int64_t> counts = runner.model().take_expert_counts();
    for (std::size_t layer = 0; layer < entry.at("experts").size(); ++layer) {
      if (entry.at("expert_margins")[layer][position].get<float>() < kSureExpertMargin) continue;
      const std::set<std::int64_t> expected = entry.at("experts")[layer][position];
      std::set<std::int64_t> found;
      for (std::int64_t expert = 0; expert < experts; ++expert) {
        if (counts[layer * static_cast<std::size_t>(experts) + static_cast<std::size_t>(expert)] > 0)
          found.insert(expert);
      }
      EXPECT_EQ(found, expected) << "layer " << layer << " position " << position;
    }
  }
}

// The cases whose stream prompt carries `what` (all when empty), with both kinds of kernels.
std::vector<GoldenParam> cases_with(const std::string& what) {
  std::vector<GoldenParam> params;
  for (const std::string& name : GoldenCase::names()) {
    const GoldenCase golden(name);
    if (!what.empty() && !golden.header().at("prompts").at(kStreamPrompt).contains(what)) continue;
    for (const char* isa : {"plain", ""}) params.push_back({name, isa});
  }
  return params;
}

std::string case_name(const testing::TestParamInfo<GoldenParam>& info) {
  return info.param.name + (info.param.isa.empty() ? "_best" : "_plain");
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::ValuesIn(cases_with("")), case_name);
INSTANTIATE_TEST_SUITE_P(Cases, GoldenDelta, testing::ValuesIn(cases_with("state_slices")), case_name);
INSTANTIATE_TEST_SUITE_P(Cases, GoldenMoe, testing::ValuesIn(cases_with("experts")), case_name);

}  // namespace
}  // namespace millrace::engine::test
