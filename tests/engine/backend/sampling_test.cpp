#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "engine/backend/cpu/philox.h"
#include "tests/engine/backend/fixture.h"

namespace millrace::engine::test {
namespace {

class Sampling : public EveryPath {
 protected:
  std::vector<SampledToken> sample(const Matrix& logits, const std::vector<SamplingRow>& rows,
                                   std::int64_t valid = -1) {
    StepInputs step;
    backend_->begin_step(step, nullptr);
    DeviceTensor device = put(*backend_, logits, 3);
    backend_->sample(device.view, valid < 0 ? logits.cols : valid, rows);
    std::span<const SampledToken> tokens = backend_->finish_step();
    return {tokens.begin(), tokens.end()};
  }
  SampledToken sample_one(const Matrix& logits, const SamplingRow& row, std::int64_t valid = -1) {
    return sample(logits, {row}, valid).at(0);
  }

  // Draws `count` tokens from one row of logits, with seeds 0..count-1.
  std::vector<std::int64_t> histogram(const Matrix& logits, SamplingRow row, std::int64_t count,
                                      std::int64_t valid = -1) {
    std::vector<std::int64_t> drawn(static_cast<std::size_t>(logits.cols));
    Matrix many(count, logits.cols);
    for (std::int64_t i = 0; i < count; ++i)
      std::copy(logits.values.begin(), logits.values.end(), many.values.begin() + i * logits.cols);
    std::vector<SamplingRow> rows(static_cast<std::size_t>(count), row);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].seed = i;
    for (const SampledToken& token : sample(many, rows, valid)) ++drawn[static_cast<std::size_t>(token.token)];
    return drawn;
  }

  std::unique_ptr<Backend> backend_ = make();
};

Matrix row_of(std::vector<float> values) {
  Matrix matrix(1, static_cast<std::int64_t>(values.size()));
  matrix.values = std::move(values);
  return matrix;
}

// Softmax of the kept tokens; the others 0.
std::vector<double> distribution(const Matrix& logits, double temperature, const std::set<std::int64_t>& kept) {
  std::vector<double> p(static_cast<std::size_t>(logits.cols));
  double total = 0.0;
  for (std::int64_t i : kept) total += p[static_cast<std::size_t>(i)] = std::exp(logits.at(0, i) / temperature);
  for (double& value : p) value /= total;
  return p;
}

std::set<std::int64_t> first(std::int64_t count) {
  std::set<std::int64_t> all;
  for (std::int64_t i = 0; i < count; ++i) all.insert(i);
  return all;
}

// Pearson's statistic against the bound that a right sampler passes at these fixed seeds with a wide margin.
void expect_fits(const std::vector<std::int64_t>& drawn, const std::vector<double>& expected) {
  std::int64_t total = std::accumulate(drawn.begin(), drawn.end(), std::int64_t{0});
  double statistic = 0.0;
  int cells = 0;
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    double mean = expected[i] * static_cast<double>(total);
    if (mean == 0.0) {
      EXPECT_EQ(drawn[i], 0) << "token " << i << " has no probability";
      continue;
    }
    statistic += (static_cast<double>(drawn[i]) - mean) * (static_cast<double>(drawn[i]) - mean) / mean;
    ++cells;
  }
  EXPECT_LT(statistic, cells + 4.0 * std::sqrt(2.0 * cells)) << "over " << cells << " cells";
}

constexpr std::int64_t kDraws = 4000;

TEST_P(Sampling, GreedyTakesTheLargestAndTheLowestOfEquals) {
  for (std::int64_t vocab : {1, 7, 16, 1000, 5003}) {
    Matrix logits = random_matrix(1, vocab, 1);
    std::int64_t best = std::max_element(logits.values.begin(), logits.values.end()) - logits.values.begin();
    EXPECT_EQ(sample_one(logits, {.temperature = 0.0F}).token, best);
  }
  EXPECT_EQ(sample_one(row_of({1, 5, 2, 5, 5}), {.temperature = 0.0F}).token, 1);
}

TEST_P(Sampling, DrawsFromTheSoftmaxAtEveryTemperature) {
  Matrix logits = random_matrix(1, 40, 2);
  for (float temperature : {0.3F, 1.0F, 2.5F}) {
    expect_fits(histogram(logits, {.temperature = temperature}, kDraws), distribution(logits, temperature, first(40)));
  }
}

TEST_P(Sampling, NeverDrawsPaddingRows) {
  Matrix logits(1, 50);
  for (std::int64_t i = 30; i < 50; ++i) logits.at(0, i) = i % 2 == 0 ? 1000.0F : std::nanf("");
  for (const SamplingRow& row :
       {SamplingRow{}, {.top_k = 45}, {.top_p = 0.999F}, {.min_p = 1e-4F}, {.temperature = 0.0F}}) {
    std::vector<std::int64_t> drawn = histogram(logits, row, 300, 30);
    EXPECT_EQ(std::accumulate(drawn.begin() + 30, drawn.end(), std::int64_t{0}), 0);
  }
}

TEST_P(Sampling, TopKKeepsExactlyKWithTiesToTheLowerToken) {
  Matrix logits = row_of({0, 2, 1, 2, 2, 1, -1, 3});
  expect_fits(histogram(logits, {.top_k = 3}, kDraws), distribution(logits, 1.0, {1, 3, 7}));
  expect_fits(histogram(logits, {.top_k = 1}, 50), distribution(logits, 1.0, {7}));
  for (std::int32_t off : {0, -1, 8, 100}) {
    expect_fits(histogram(logits, {.top_k = off}, kDraws), distribution(logits, 1.0, first(8)));
  }
}

TEST_P(Sampling, TopPKeepsTheSmallestPrefixThatReachesTheMass) {
  // Probabilities 0.4, 0.3, 0.2, 0.1 in shuffled order.
  Matrix logits = row_of({std::log(0.2F), std::log(0.4F), std::log(0.1F), std::log(0.3F)});
  expect_fits(histogram(logits, {.top_p = 0.65F}, kDraws), distribution(logits, 1.0, {1, 3}));
  expect_fits(histogram(logits, {.top_p = 0.75F}, kDraws), distribution(logits, 1.0, {0, 1, 3}));
  expect_fits(histogram(logits, {.top_p = 0.1F}, 50), distribution(logits, 1.0, {1}));
  expect_fits(histogram(logits, {.top_p = 0.0F}, 50), distribution(logits, 1.0, {1}));
  expect_fits(histogram(logits, {.top_p = 1.0F}, kDraws), distribution(logits, 1.0, first(4)));
}

TEST_P(Sampling, MinPDropsWhatIsBelowItsShareOfTheBest) {
  Matrix logits = row_of({std::log(0.2F), std::log(0.4F), std::log(0.1F), std::log(0.3F)});
  expect_fits(histogram(logits, {.min_p = 0.6F}, kDraws), distribution(logits, 1.0, {1, 3}));
  expect_fits(histogram(logits, {.min_p = 1.0F}, 50), distribution(logits, 1.0, {1}));
}

TEST_P(Sampling, CombinesTheFiltersInOrder) {
  // min_p leaves four, top_k three of them, and top_p is a share of those three: 0.75 of 0.4/0.9, 0.3/0.9, 0.2/0.9 is
  // two.
  Matrix logits = row_of({std::log(0.2F), std::log(0.4F), std::log(0.06F), std::log(0.3F), std::log(0.04F)});
  expect_fits(histogram(logits, {.top_k = 3, .top_p = 0.75F, .min_p = 0.12F}, kDraws),
              distribution(logits, 1.0, {1, 3}));
  // Without top_k: min_p 0.5 leaves 0.4, 0.3, 0.2; of their 0.9, a top_p of 0.8 needs all three.
  expect_fits(histogram(logits, {.top_p = 0.8F, .min_p = 0.45F}, kDraws), distribution(logits, 1.0, {0, 1, 3}));
}

TEST_P(Sampling, TopPOverALargeFlatVocabularyKeepsTheRightTokens) {
  Matrix logits = random_matrix(1, 20000, 3, 0.5F);
  std::vector<std::int64_t> order(20000);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logits.at(0, a) > logits.at(0, b); });
  std::vector<double> p = distribution(logits, 1.0, first(20000));
  std::set<std::int64_t> kept;
  for (double sum = 0.0; sum < 0.5; sum += p[static_cast<std::size_t>(order[kept.size() - 1])])
    kept.insert(order[kept.size()]);
  std::vector<std::int64_t> drawn = histogram(logits, {.top_p = 0.5F}, 500);
  std::int64_t outside = 0;
  for (std::size_t i = 0; i < drawn.size(); ++i) outside += kept.contains(static_cast<std::int64_t>(i)) ? 0 : drawn[i];
  EXPECT_EQ(outside, 0);
}

TEST_P(Sampling, IsAPureFunctionOfSeedAndStep) {
  Matrix logits = random_matrix(1, 500, 4);
  Matrix batch(9, 500);
  for (std::int64_t i = 0; i < 9; ++i)
    std::copy(logits.values.begin(), logits.values.end(), batch.values.begin() + i * 500);
  for (const SamplingRow& base : {SamplingRow{}, {.top_k = 50}, {.top_p = 0.9F}}) {
    SamplingRow row = base;
    row.seed = 12345;
    row.step_index = 7;
    TokenId alone = sample_one(logits, row).token;
    std::vector<SamplingRow> rows(9, base);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].seed = i;
    rows[5] = row;
    EXPECT_EQ(sample(batch, rows)[5].token, alone);
  }
  std::set<TokenId> by_step;
  for (std::uint64_t step = 0; step < 20; ++step)
    by_step.insert(sample_one(logits, {.seed = 1, .step_index = step}).token);
  EXPECT_GT(by_step.size(), 10U);
}

TEST_P(Sampling, StepsOfOneSeedAreIndependent) {
  Matrix logits(1, 10);
  std::vector<std::int64_t> pairs(100);
  TokenId before = sample_one(logits, {.seed = 9, .step_index = 0}).token;
  for (std::uint64_t step = 1; step <= 3000; ++step) {
    TokenId now = sample_one(logits, {.seed = 9, .step_index = step}).token;
    ++pairs[static_cast<std::size_t>(before * 10 + now)];
    before = now;
  }
  expect_fits(pairs, std::vector<double>(100, 0.01));
}

TEST_P(Sampling, AppliesEachPenaltyToTheRightTokens) {
  Matrix logits = row_of({2, 2, 2, -2, 1.9F, 0});
  const std::vector<TokenId> prompt = {1, 3};
  const std::vector<TokenId> output = {0, 0, 0, 2, 99, -1};  // ids outside the vocabulary are ignored
  auto all = [&](SamplingRow row) {  // the logits after processing, read through logprobs of single-token draws
    row.prompt = prompt;
    row.output = output;
    row.temperature = 1.0F;
    return row;
  };
  // Repetition divides what is positive, multiplies what is negative, in prompt and output.
  expect_fits(histogram(logits, all({.repetition_penalty = 2.0F}), kDraws),
              distribution(row_of({1, 1, 1, -4, 1.9F, 0}), 1.0, first(6)));
  // Frequency counts, presence does not; both look at the output alone.
  expect_fits(histogram(logits, all({.frequency_penalty = 0.5F}), kDraws),
              distribution(row_of({0.5F, 2, 1.5F, -2, 1.9F, 0}), 1.0, first(6)));
  expect_fits(histogram(logits, all({.presence_penalty = 0.5F}), kDraws),
              distribution(row_of({1.5F, 2, 1.5F, -2, 1.9F, 0}), 1.0, first(6)));
  EXPECT_EQ(sample_one(row_of({2, 1.9F}), {.temperature = 0.0F, .presence_penalty = 0.5F, .output = {output.data(), 1}})
                .token,
            1);
}

TEST_P(Sampling, AddsTheBiasBeforePenaltiesAndBansTokens) {
  const std::vector<std::pair<TokenId, float>> bias = {{1, 4.0F}, {77, 1.0F}};
  const std::vector<TokenId> banned = {2, 77};
  const std::vector<TokenId> output = {1};
  Matrix logits = row_of({2.5F, 0, 9});
  EXPECT_EQ(sample_one(logits, {.temperature = 0.0F, .logit_bias = bias, .banned = banned}).token, 1);
  // (0 + 4) / 2 = 2 loses to 2.5; the other order would give 0 / 2 + 4 = 4.
  EXPECT_EQ(
      sample_one(
          logits,
          {.temperature = 0.0F, .repetition_penalty = 2.0F, .output = output, .logit_bias = bias, .banned = banned})
          .token,
      0);
  expect_fits(histogram(logits, {.banned = banned}, kDraws), distribution(logits, 1.0, {0, 1}));
}

TEST_P(Sampling, ReportsLogprobsOfTheModelBeforeAnyProcessing) {
  Matrix logits = random_matrix(1, 300, 5, 3.0F);
  const std::vector<TokenId> banned = {
      static_cast<TokenId>(std::max_element(logits.values.begin(), logits.values.end()) - logits.values.begin())};
  SampledToken token = sample_one(logits, {.temperature = 0.5F, .banned = banned, .num_logprobs = 5}, 290);
  double total = 0.0;
  for (std::int64_t i = 0; i < 290; ++i) total += std::exp(static_cast<double>(logits.at(0, i)));
  EXPECT_NEAR(token.logprob, logits.at(0, token.token) - std::log(total), 1e-4);
  std::vector<TokenId> order(290);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logits.at(0, a) > logits.at(0, b); });
  ASSERT_EQ(token.top.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(token.top[i].token, order[i]);
    EXPECT_NEAR(token.top[i].logprob, logits.at(0, order[i]) - std::log(total), 1e-4);
  }
  EXPECT_TRUE(sample_one(logits, {.num_logprobs = 0}).top.empty());
  EXPECT_NE(sample_one(logits, {.num_logprobs = 0}).logprob, 0.0F);
  EXPECT_EQ(sample_one(logits, {.num_logprobs = -1}).logprob, 0.0F);
  EXPECT_EQ(sample_one(row_of({1, 2}), {.num_logprobs = 20}).top.size(), 2U);
}

TEST_P(Sampling, FlagsRowsThatAreNotFiniteAndOnlyThose) {
  const float bad[] = {std::nanf(""), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
  for (float value : bad) {
    for (std::int64_t where : {0, 5, 17, 32, 34}) {
      Matrix logits = random_matrix(3, 35, 6);
      logits.at(1, where) = value;
      std::vector<SampledToken> tokens = sample(logits, std::vector<SamplingRow>(3));
      EXPECT_TRUE(tokens[0].finite);
      EXPECT_FALSE(tokens[1].finite) << value << " at " << where;
      EXPECT_TRUE(tokens[2].finite);
    }
  }
}

TEST_P(Sampling, SaysWhenEverythingIsBanned) {
  const std::vector<TokenId> banned = {0, 1, 2};
  EXPECT_FALSE(sample_one(row_of({1, 2, 3}), {.banned = banned}).finite);
}

TEST_P(Sampling, ForgetsTheRowsOfTheStepBefore) {
  const std::vector<TokenId> output = {0};
  for (int repeat = 0; repeat < 3; ++repeat) {
    EXPECT_EQ(sample_one(row_of({2, 1.5F}), {.temperature = 0.0F, .presence_penalty = 1.0F, .output = output}).token,
              1);
    EXPECT_EQ(sample_one(row_of({2, 1.5F}), {.temperature = 0.0F, .presence_penalty = 1.0F}).token, 0);
  }
  StepInputs step;
  backend_->begin_step(step, nullptr);
  EXPECT_TRUE(backend_->finish_step().empty());
}

MILLRACE_ON_EVERY_PATH(Sampling);

TEST(Philox, ReproducesThePublishedVectors) {
  // Random123's known-answer tests for philox4x32-10.
  EXPECT_EQ(cpu::philox({0, 0, 0, 0}, {0, 0}),
            (std::array<std::uint32_t, 4>{0x6627E8D5U, 0xE169C58DU, 0xBC57AC4CU, 0x9B00DBD8U}));
  EXPECT_EQ(cpu::philox({0xFFFFFFFFU, 0xFFFFFFFFU, 0xFFFFFFFFU, 0xFFFFFFFFU}, {0xFFFFFFFFU, 0xFFFFFFFFU}),
            (std::array<std::uint32_t, 4>{0x408F276DU, 0x41C83B0EU, 0xA20BC7C6U, 0x6D5451FDU}));
  EXPECT_EQ(cpu::philox({0x243F6A88U, 0x85A308D3U, 0x13198A2EU, 0x03707344U}, {0xA4093822U, 0x299F31D0U}),
            (std::array<std::uint32_t, 4>{0xD16CFE09U, 0x94FDCCEBU, 0x5001E420U, 0x24126EA1U}));
}

}  // namespace
}  // namespace millrace::engine::test
