// What must not change the result: how a prompt is cut, what else is in the batch, a restored snapshot.
#include <gtest/gtest.h>

#include <random>

#include "tests/engine/model/golden_case.h"
#include "tests/engine/model/model_runner.h"
#include "tests/support/temp_directory.h"

namespace millrace::engine::test {
namespace {

using millrace::test::TempDirectory;

constexpr float kInvarianceTolerance = 1e-4F;  // relative to the largest logit

class Invariance : public testing::TestWithParam<std::string> {
 protected:
  Invariance() : golden_(GetParam()) {
    golden_.write_checkpoint(directory_.path(), /*sharded=*/false);
    RunnerOptions options;
    options.max_tokens = 400;
    runner_ = std::make_unique<ModelRunner>(directory_.path(), options, *comm_);
  }

  std::vector<TokenId> prompt(std::size_t length, unsigned seed = 1) const {
    std::mt19937 random(seed);
    std::vector<TokenId> tokens(length);
    for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 320);
    return tokens;
  }

  // Feeds `tokens` to a fresh sequence in pieces of the given sizes (repeated); all logits.
  std::vector<Row> in_pieces(int seq, const std::vector<TokenId>& tokens, const std::vector<std::size_t>& sizes) {
    runner_->restart(seq);
    std::vector<Row> rows;
    std::size_t at = 0;
    for (std::size_t i = 0; at < tokens.size(); ++i) {
      const std::size_t count = std::min(sizes[i % sizes.size()], tokens.size() - at);
      const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(at);
      for (Row& row : runner_->prefill(seq, {begin, begin + static_cast<std::ptrdiff_t>(count)}, true)) {
        rows.push_back(std::move(row));
      }
      at += count;
    }
    return rows;
  }

  static void expect_equal(const std::vector<Row>& found, const std::vector<Row>& expected, const std::string& what) {
    ASSERT_EQ(found.size(), expected.size()) << what;
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_LE(max_difference(found[i], expected[i]), kInvarianceTolerance * max_magnitude(expected[i]))
          << what << ", position " << i;
    }
  }

  GoldenCase golden_;
  TempDirectory directory_;
  std::unique_ptr<Comm> comm_ = make_single_comm();
  std::unique_ptr<ModelRunner> runner_;
};

TEST_P(Invariance, APromptMayBeCutAnywhere) {
  const std::vector<TokenId> tokens = prompt(200);
  const std::vector<Row> whole = in_pieces(0, tokens, {tokens.size()});
  for (const std::vector<std::size_t>& sizes : {std::vector<std::size_t>{1}, {64}, {1, 3, 4, 63, 65}, {127, 1, 2}}) {
    expect_equal(in_pieces(1, tokens, sizes), whole, "pieces of " + std::to_string(sizes[0]));
  }
}

TEST_P(Invariance, ShortPromptsGoOnLikeTokenByToken) {
  for (const std::size_t length : {1U, 2U, 3U, 4U, 63U, 64U, 65U}) {
    const std::vector<TokenId> tokens = prompt(length + 6, static_cast<unsigned>(length));
    expect_equal(in_pieces(0, tokens, {length, 1}), in_pieces(1, tokens, {1}), "length " + std::to_string(length));
  }
}

TEST_P(Invariance, ASnapshotRestoresBitExactly) {
  const std::vector<TokenId> head = prompt(70);
  const std::vector<TokenId> tail = prompt(9, 2);
  const auto follow = [&](int seq) {
    std::vector<Row> rows;
    for (const TokenId token : tail) rows.push_back(runner_->prefill(seq, {token}).front());
    return rows;
  };
  runner_->prefill(0, head);
  runner_->copy_sequence(0, 1);  // the snapshot
  const std::vector<Row> first = follow(0);
  runner_->prefill(2, prompt(50, 3));  // another sequence in a slot that is reused below
  runner_->copy_sequence(1, 2);
  EXPECT_EQ(follow(2), first) << "restored into a used slot";
  runner_->copy_sequence(1, 0);
  EXPECT_EQ(follow(0), first) << "restored into its own slot";
}

TEST_P(Invariance, AMixedBatchEqualsItsSequencesAlone) {
  const std::vector<TokenId> a = prompt(40, 4), b = prompt(33, 5), c = prompt(1, 6);
  const std::vector<TokenId> next = prompt(1, 7);
  // Alone.
  const std::vector<Row> a_alone = in_pieces(0, a, {20});
  const std::vector<Row> b_alone = in_pieces(1, b, {33});
  const std::vector<Row> c_alone = in_pieces(2, c, {1});
  runner_->restart(3);
  runner_->prefill(3, prompt(17, 8));
  const Row d_alone = runner_->prefill(3, next).front();
  // Together: a's second half, the whole of b, one token of d, and c.
  for (const int seq : {0, 1, 2, 3}) runner_->restart(seq);
  runner_->prefill(3, prompt(17, 8));
  runner_->prefill(0, {a.begin(), a.begin() + 20});
  const std::vector<Row> rows = runner_->step({{0, {a.begin() + 20, a.end()}}, {1, b}, {3, next}, {2, c}});
  ASSERT_EQ(rows.size(), 4U);
  expect_equal(rows, {a_alone.back(), b_alone.back(), d_alone, c_alone.back()}, "mixed batch");
}

TEST_P(Invariance, AnIdleSequenceIsNotTouched) {
  const std::vector<TokenId> tokens = prompt(30, 9);
  const std::vector<Row> undisturbed = in_pieces(0, tokens, {15});
  runner_->restart(0);
  runner_->prefill(0, {tokens.begin(), tokens.begin() + 15});
  for (int i = 0; i < 3; ++i) runner_->prefill(1, prompt(20, 10));
  const std::vector<Row> rows = runner_->prefill(0, {tokens.begin() + 15, tokens.end()}, true);
  EXPECT_EQ(rows.back(), undisturbed.back());
}

TEST_P(Invariance, AStepWithoutWantedLogitsGivesNone) {
  const std::vector<TokenId> tokens = prompt(5);
  runner_->restart(0);
  EXPECT_TRUE(runner_->step({{0, tokens, false, /*no_logits=*/true}}).empty());
  runner_->restart(1);
  runner_->step({{1, tokens}});
  EXPECT_EQ(runner_->prefill(0, {7}), runner_->prefill(1, {7}));
}

INSTANTIATE_TEST_SUITE_P(Cases, Invariance,
                         testing::Values("dense_r1_tied", "dense_r3", "moe_r2_per_expert", "moe_r4", "qwen2_tied_f16"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace millrace::engine::test
