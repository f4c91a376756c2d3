#include "engine/runtime/scheduler.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace millrace::engine {
namespace {

constexpr TokenId kEos = 99;
constexpr std::chrono::seconds kStep{1};  // what every step takes on the clock of the tests

struct Outcome {
  std::vector<TokenId> tokens;
  std::optional<FinishReason> finish;
  std::string message;
  std::optional<RequestTimes> times;
};

// A scheduler with a stand-in for the model: token n of a request is a function of the tokens before it, so a sequence
// that was preempted and computed again must produce the same answer.
class SchedulerTest : public ::testing::Test {
 protected:
  void make(std::int64_t blocks, std::int64_t slots, std::int64_t max_seqs, std::int64_t budget,
            std::int64_t max_len = 1000) {
    scheduler_ = std::make_unique<Scheduler>(SchedulerLimits{max_seqs, budget, max_len, {kEos}},
                                             BlockManager(blocks, 4), StatePool(slots));
  }

  RequestId add(std::int64_t prompt_length, std::int64_t max_tokens) {
    auto sequence = std::make_unique<Sequence>();
    const auto id = static_cast<RequestId>(++last_id_);
    sequence->id = id;
    for (std::int64_t i = 0; i < prompt_length; ++i)
      sequence->tokens.push_back(static_cast<TokenId>((last_id_ + i) % 50));
    sequence->num_prompt = prompt_length;
    sequence->params.max_tokens = max_tokens;
    sequence->sink = [this, id](const TokenEvent& event) {
      Outcome& outcome = outcomes_[id];
      ASSERT_FALSE(outcome.finish) << "an event after the last";
      if (event.token) outcome.tokens.push_back(*event.token);
      outcome.finish = event.finish;
      outcome.message = event.message;
      outcome.times = event.times;
    };
    last_added_ = sequence.get();
    scheduler_->add(std::move(sequence));
    return id;
  }

  static TokenId next_token(const Sequence& sequence) {
    std::int64_t hash = 7;
    for (const TokenId token : sequence.tokens) hash = (hash * 31 + token) % 90;
    return static_cast<TokenId>(hash);
  }

  // Checks the invariants of a batch, then completes it. False when there was nothing to do.
  bool step() {
    const Batch batch = scheduler_->schedule(now_);
    if (batch.empty()) return false;
    check(batch);
    std::vector<SampledToken> drawn;
    for (const ScheduledSequence& entry : batch.sequences) {
      if (!entry.samples) continue;
      SampledToken token;
      token.token = forced_.count(entry.sequence->id) ? forced_[entry.sequence->id] : next_token(*entry.sequence);
      token.finite = !poisoned_.count(entry.sequence->id);
      drawn.push_back(token);
    }
    now_ += kStep;
    scheduler_->complete(batch, drawn, now_);
    return true;
  }

  void check(const Batch& batch) {
    const StepInputs& inputs = batch.inputs;
    ASSERT_EQ(inputs.num_seqs(), static_cast<std::int64_t>(batch.sequences.size()));
    ASSERT_EQ(inputs.row_begin.size(), batch.sequences.size() + 1);
    ASSERT_EQ(inputs.row_begin.back(), inputs.num_tokens());
    ASSERT_EQ(inputs.logit_rows.size(), batch.sampling.size());
    std::set<std::int32_t> blocks;
    std::set<std::int32_t> slots(inputs.slots.begin(), inputs.slots.end());
    if (scheduler_->slots().num_slots() > 0) {
      ASSERT_EQ(slots.size(), batch.sequences.size()) << "a state slot is shared";
    }
    for (std::size_t s = 0; s < batch.sequences.size(); ++s) {
      const std::int64_t end = inputs.context[s] + inputs.row_begin[s + 1] - inputs.row_begin[s];
      for (std::int32_t b = 0; b < inputs.max_blocks; ++b) {
        const std::int32_t block =
            inputs.blocks[s * static_cast<std::size_t>(inputs.max_blocks) + static_cast<std::size_t>(b)];
        if (b * 4 < end) {
          ASSERT_GE(block, 0) << "a token has no block";
        }
        if (block >= 0) {
          ASSERT_TRUE(blocks.insert(block).second) << "a block is shared";
        }
      }
    }
  }

  void run_to_end() {
    int steps = 0;
    while (step()) ASSERT_LT(++steps, 100000) << "does not end";
    EXPECT_EQ(scheduler_->num_running(), 0);
    EXPECT_EQ(scheduler_->num_waiting(), 0);
    EXPECT_EQ(scheduler_->blocks().num_used(), 0);
    EXPECT_EQ(scheduler_->slots().num_used(), 0);
  }

  std::unique_ptr<Scheduler> scheduler_;
  std::map<RequestId, Outcome> outcomes_;
  std::map<RequestId, TokenId> forced_;
  std::set<RequestId> poisoned_;
  Sequence* last_added_ = nullptr;
  std::int64_t last_id_ = 0;
  Scheduler::TimePoint now_{};
};

TEST_F(SchedulerTest, StampsWhenARequestIsScheduledAnsweredAndDone) {
  make(100, 4, 1, 8);
  const RequestId first = add(12, 3);  // two steps of prefill, two of decode
  const RequestId second = add(4, 1);  // waits for the first to end
  const auto begin = now_;
  run_to_end();
  ASSERT_TRUE(outcomes_[first].times && outcomes_[second].times);
  const RequestTimes& early = *outcomes_[first].times;
  EXPECT_EQ(early.scheduled, begin);
  EXPECT_EQ(early.first_token, begin + 2 * kStep);
  EXPECT_EQ(early.finished, begin + 4 * kStep);
  const RequestTimes& late = *outcomes_[second].times;
  EXPECT_EQ(late.scheduled, begin + 4 * kStep);
  EXPECT_EQ(late.first_token, begin + 5 * kStep);
  EXPECT_EQ(late.finished, begin + 5 * kStep);
}

TEST_F(SchedulerTest, APreemptedRequestKeepsItsFirstStamps) {
  make(6, 4, 4, 64);
  add(8, 12);
  const RequestId young = add(8, 12);
  const auto begin = now_;
  run_to_end();
  ASSERT_GT(scheduler_->num_preemptions(), 0);
  EXPECT_EQ(outcomes_[young].times->scheduled, begin);
  EXPECT_EQ(outcomes_[young].times->first_token, begin + kStep);
  EXPECT_GT(outcomes_[young].times->finished, begin + 12 * kStep);
}

TEST_F(SchedulerTest, SplitsALongPromptByTheTokenBudget) {
  make(100, 4, 4, 8);
  const RequestId id = add(20, 2);
  for (const std::int64_t expected : {8, 8, 4}) {
    const Batch batch = scheduler_->schedule(now_);
    EXPECT_EQ(batch.inputs.num_tokens(), expected);
    EXPECT_EQ(batch.sequences[0].samples, expected == 4);
    std::vector<SampledToken> drawn(batch.sampling.size());
    scheduler_->complete(batch, drawn, now_);
  }
  run_to_end();
  EXPECT_EQ(outcomes_[id].tokens.size(), 2U);
  EXPECT_EQ(outcomes_[id].finish, FinishReason::kLength);
}

TEST_F(SchedulerTest, ALongPrefillNeverHoldsUpADecode) {
  make(100, 4, 4, 8);
  add(3, 50);
  ASSERT_TRUE(step());
  add(40, 1);
  for (int i = 0; i < 5; ++i) {
    const Batch batch = scheduler_->schedule(now_);
    ASSERT_EQ(batch.sequences.size(), 2U);
    EXPECT_EQ(batch.sequences[0].num_new, 1);
    EXPECT_EQ(batch.sequences[1].num_new, 7);
    scheduler_->complete(batch, std::vector<SampledToken>(batch.sampling.size()), now_);
  }
}

TEST_F(SchedulerTest, PreemptsTheYoungestWhenBlocksRunOut) {
  make(6, 4, 4, 64);
  const RequestId old = add(8, 12);
  const RequestId young = add(8, 12);
  run_to_end();
  EXPECT_GT(scheduler_->num_preemptions(), 0);
  EXPECT_EQ(outcomes_[old].tokens.size(), 12U);
  EXPECT_EQ(outcomes_[young].tokens.size(), 12U);
}

TEST_F(SchedulerTest, PreemptionDoesNotChangeTheAnswer) {
  std::map<RequestId, Outcome> roomy;
  for (const std::int64_t blocks : {1000, 7}) {
    outcomes_.clear();
    last_id_ = 0;
    make(blocks, 4, 4, 16);
    for (int i = 0; i < 6; ++i) add(3 + i, 15);
    run_to_end();
    if (blocks == 1000) {
      EXPECT_EQ(scheduler_->num_preemptions(), 0);
      roomy = outcomes_;
    }
  }
  EXPECT_GT(scheduler_->num_preemptions(), 0);
  for (const auto& [id, outcome] : roomy) EXPECT_EQ(outcomes_[id].tokens, outcome.tokens);
}

TEST_F(SchedulerTest, WaitsForAStateSlot) {
  make(100, 1, 4, 64);
  add(4, 3);
  add(4, 3);
  ASSERT_TRUE(step());
  EXPECT_EQ(scheduler_->num_running(), 1);
  EXPECT_EQ(scheduler_->num_waiting(), 1);
  run_to_end();
}

TEST_F(SchedulerTest, RunsWithoutStateSlotsWhenTheModelHasNone) {
  make(100, 0, 2, 64);
  add(4, 3);
  const Batch batch = scheduler_->schedule(now_);
  EXPECT_TRUE(batch.inputs.slots.empty());
}

TEST_F(SchedulerTest, StopsAtTheEndOfSequenceToken) {
  make(100, 4, 4, 64);
  const RequestId id = add(4, 100);
  forced_[id] = kEos;
  run_to_end();
  EXPECT_EQ(outcomes_[id].tokens, (std::vector<TokenId>{kEos}));
  EXPECT_EQ(outcomes_[id].finish, FinishReason::kStop);
}

TEST_F(SchedulerTest, IgnoresTheEndOfSequenceTokenWhenAsked) {
  make(100, 4, 4, 64);
  const RequestId id = add(4, 5);
  last_added_->params.ignore_eos = true;
  forced_[id] = kEos;
  run_to_end();
  EXPECT_EQ(outcomes_[id].tokens.size(), 5U);
  EXPECT_EQ(outcomes_[id].finish, FinishReason::kLength);
}

TEST_F(SchedulerTest, StopsAtATokenOfTheRequest) {
  make(100, 4, 4, 64);
  const RequestId id = add(4, 100);
  last_added_->params.stop_token_ids = {42};
  forced_[id] = 42;
  run_to_end();
  EXPECT_EQ(outcomes_[id].finish, FinishReason::kStop);
}

TEST_F(SchedulerTest, BansStopTokensUntilMinTokensAreReached) {
  make(100, 4, 4, 64);
  auto sequence = std::make_unique<Sequence>();
  sequence->id = static_cast<RequestId>(1);
  sequence->tokens = {1, 2};
  sequence->num_prompt = 2;
  sequence->params.max_tokens = 5;
  sequence->params.min_tokens = 2;
  sequence->params.stop_token_ids = {42};
  sequence->sink = [](const TokenEvent&) {};
  scheduler_->add(std::move(sequence));
  std::vector<std::size_t> banned;
  for (int i = 0; i < 4; ++i) {
    const Batch batch = scheduler_->schedule(now_);
    banned.push_back(batch.sampling[0].banned.size());
    scheduler_->complete(batch, std::vector<SampledToken>(1), now_);
  }
  EXPECT_EQ(banned, (std::vector<std::size_t>{2, 2, 0, 0}));
}

TEST_F(SchedulerTest, EndsAtTheContextLimit) {
  make(100, 4, 4, 64, /*max_len=*/10);
  const RequestId id = add(7, 100);
  run_to_end();
  EXPECT_EQ(outcomes_[id].tokens.size(), 3U);
  EXPECT_EQ(outcomes_[id].finish, FinishReason::kLength);
}

TEST_F(SchedulerTest, ASequenceWithLogitsThatAreNotFiniteFailsAlone) {
  make(100, 4, 4, 64);
  const RequestId bad = add(4, 5);
  const RequestId good = add(4, 5);
  poisoned_.insert(bad);
  run_to_end();
  EXPECT_EQ(outcomes_[bad].finish, FinishReason::kError);
  EXPECT_NE(outcomes_[bad].message.find("not finite"), std::string::npos);
  EXPECT_EQ(outcomes_[good].tokens.size(), 5U);
}

TEST_F(SchedulerTest, CancellationFreesMemoryAtOnce) {
  make(100, 4, 4, 4);
  const RequestId running = add(12, 5);
  const RequestId waiting = add(12, 5);
  ASSERT_TRUE(step());
  EXPECT_GT(scheduler_->blocks().num_used(), 0);
  EXPECT_NE(scheduler_->remove(running), nullptr);
  EXPECT_EQ(scheduler_->blocks().num_used(), 0);
  EXPECT_EQ(scheduler_->slots().num_used(), 0);
  EXPECT_NE(scheduler_->remove(waiting), nullptr);
  EXPECT_EQ(scheduler_->remove(waiting), nullptr);
  EXPECT_FALSE(step());
}

TEST_F(SchedulerTest, RandomLoadAlwaysEndsAndLeaksNothing) {
  std::mt19937 random(11);
  for (int round = 0; round < 40; ++round) {
    const auto pick = [&](int low, int high) {
      return static_cast<std::int64_t>(low + static_cast<int>(random() % (high - low + 1)));
    };
    make(pick(10, 40), pick(1, 5), pick(1, 6), pick(1, 20), /*max_len=*/40);
    std::vector<RequestId> ids;
    for (int i = 0; i < 30; ++i) {
      ids.push_back(add(pick(1, 30), pick(1, 20)));
      if (pick(0, 2) == 0) step();
      if (pick(0, 5) == 0) scheduler_->remove(ids[static_cast<std::size_t>(pick(0, i))]);
    }
    run_to_end();
  }
}

}  // namespace
}  // namespace millrace::engine
