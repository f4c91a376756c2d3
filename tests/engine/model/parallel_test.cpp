// Several ranks compute what one rank computes, however tensors and experts are divided and however the ranks are
// connected.
#include <gtest/gtest.h>

#include <mutex>

#include "tests/engine/comm/ranks.h"
#include "tests/engine/model/family.h"
#include "tests/engine/model/golden_case.h"
#include "tests/engine/model/model_runner.h"
#include "tests/engine/model/tiny.h"
#include "tests/support/temp_directory.h"

namespace millrace::engine::test {
namespace {

using millrace::test::TempDirectory;

constexpr float kParallelTolerance = 1e-4F;  // relative to the largest logit
constexpr int kGreedyTokens = 24;

struct Outcome {
  std::vector<Row> rows;        // of the whole prompt
  std::vector<TokenId> greedy;  // after it
};

void expect_same(const Outcome& found, const Outcome& expected) {
  ASSERT_EQ(found.rows.size(), expected.rows.size());
  for (std::size_t i = 0; i < found.rows.size(); ++i) {
    ASSERT_EQ(found.rows[i].size(), expected.rows[i].size());
    EXPECT_LE(max_difference(found.rows[i], expected.rows[i]), kParallelTolerance * max_magnitude(expected.rows[i]))
        << "position " << i;
  }
  EXPECT_EQ(found.greedy, expected.greedy);
}

Outcome outcome_of(ModelRunner& runner, const std::vector<TokenId>& prompt) {
  Outcome outcome;
  outcome.rows = runner.prefill(0, prompt, /*all_logits=*/true);
  outcome.greedy = runner.greedy(0, outcome.rows.empty() ? Row{} : outcome.rows.back(), kGreedyTokens);
  return outcome;
}

// What rank 0 of `size` ranks computes; `make` creates the runner of a rank.
Outcome run_group(Transport transport, int size, int expert_parallel, const std::vector<TokenId>& prompt,
                  const std::function<ModelRunner(const RunnerOptions&, Comm&)>& make) {
  std::mutex mutex;
  Outcome result;
  on_ranks(transport, size, [&](Comm& comm) {
    RunnerOptions options;
    options.layout = {comm.rank(), size, expert_parallel};
    ModelRunner runner = make(options, comm);
    Outcome outcome = outcome_of(runner, prompt);
    comm.barrier();
    const std::lock_guard lock(mutex);
    if (comm.rank() == 0) result = std::move(outcome);
  });
  return result;
}

struct Division {
  const char* golden;
  int size;
  int expert_parallel;
  Transport transport = Transport::kThreads;
};

class Parallel : public testing::TestWithParam<Division> {};

TEST_P(Parallel, GivesTheLogitsAndTokensOfOneRank) {
  const GoldenCase golden(GetParam().golden);
  const TempDirectory directory;
  golden.write_checkpoint(directory.path(), /*sharded=*/false);
  const auto make = [&](const RunnerOptions& options, Comm& comm) {
    return ModelRunner(directory.path(), options, comm);
  };
  const std::vector<TokenId>& prompt = golden.prompts()[kStreamPrompt].tokens;
  const Outcome one = run_group(Transport::kThreads, 1, 1, prompt, make);
  expect_same(run_group(GetParam().transport, GetParam().size, GetParam().expert_parallel, prompt, make), one);
}

INSTANTIATE_TEST_SUITE_P(Divisions, Parallel,
                         testing::Values(Division{"dense_r1_tied", 2, 1}, Division{"dense_r2_text_only_f32", 2, 1},
                                         Division{"dense_r3", 2, 1}, Division{"moe_r1_text_only", 2, 1},
                                         Division{"moe_r1_text_only", 2, 2}, Division{"moe_r1_text_only", 4, 1},
                                         Division{"moe_r1_text_only", 4, 2}, Division{"moe_r1_text_only", 4, 4},
                                         Division{"moe_r1_text_only", 4, 2, Transport::kTcp},
                                         Division{"moe_r2_per_expert", 2, 1}, Division{"moe_r2_per_expert", 2, 2},
                                         Division{"qwen2_untied", 2, 1}, Division{"qwen2_untied", 4, 1},
                                         Division{"qwen2_untied", 2, 1, Transport::kTcp}),
                         [](const auto& info) {
                           return std::string(info.param.golden) + "_of_" + std::to_string(info.param.size) + "_ep_" +
                                  std::to_string(info.param.expert_parallel) +
                                  (info.param.transport == Transport::kTcp ? "_tcp" : "");
                         });

// The shared expert must count once, not once per rank; with routed experts that give nothing, nothing else can hide
// it.
TEST(Parallel, CountsTheSharedExpertOnce) {
  const GoldenCase golden("moe_r1_text_only");
  const TempDirectory directory;
  golden.write_checkpoint(directory.path(), /*sharded=*/false);
  std::vector<TensorToWrite> tensors = golden.tensors();
  for (TensorToWrite& tensor : tensors) {
    if (tensor.name.ends_with("experts.down_proj")) tensor.bytes.assign(tensor.bytes.size(), '\0');
  }
  directory.write("model.safetensors", safetensors_bytes(tensors));
  const auto make = [&](const RunnerOptions& options, Comm& comm) {
    return ModelRunner(directory.path(), options, comm);
  };
  const std::vector<TokenId> prompt{1, 2, 3, 200};
  const Outcome one = run_group(Transport::kThreads, 1, 1, prompt, make);
  for (const int expert_parallel : {1, 2, 4}) {
    expect_same(run_group(Transport::kThreads, 4, expert_parallel, prompt, make), one);
  }
}

// 37 rows of vocabulary over 2 and 4 ranks; more ranks than KV heads.
TEST(Parallel, DividesAVocabularyThatDoesNotDivide) {
  for (const auto& document : {tiny_dense(), tiny_moe()}) {
    const ModelConfig config = parse(document);
    const auto make = [&](const RunnerOptions& options, Comm& comm) { return ModelRunner(config, 11, options, comm); };
    const std::vector<TokenId> prompt{36, 0, 18, 9, 27};
    const Outcome one = run_group(Transport::kThreads, 1, 1, prompt, make);
    ASSERT_EQ(one.rows.front().size(), 37U);
    for (const int size : {2, 4}) expect_same(run_group(Transport::kThreads, size, 1, prompt, make), one);
  }
}

TEST(RandomModel, IsAFunctionOfTheSeed) {
  const ModelConfig config = parse(tiny_moe());
  const auto rows_of = [&](std::uint64_t seed) {
    const std::unique_ptr<Comm> comm = make_single_comm();
    ModelRunner runner(config, seed, RunnerOptions{}, *comm);
    return runner.prefill(0, {1, 2, 3});
  };
  EXPECT_EQ(rows_of(1), rows_of(1));
  EXPECT_NE(rows_of(1), rows_of(2));
}

}  // namespace
}  // namespace millrace::engine::test
