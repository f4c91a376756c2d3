// Experts that move while the engine serves, and what can go wrong on the way: until every rank is ready, the old
// placement serves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <semaphore>

#include "common/error.h"
#include "tests/engine/runtime/engine_fixture.h"

namespace millrace::engine {
namespace {

using common::Code;
using common::Error;
using ::testing::HasSubstr;

// The error a move ended with.
Error fault_of(std::future<void> move) {
  try {
    move.get();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "the move succeeded";
  return {Code::kInternal, ""};
}

// Every expert moves by one rank.
ExpertPlacement turned(const Engine& engine) {
  ExpertPlacement next = engine.expert_placement();
  ++next.number;
  for (auto& row : next.slots) std::rotate(row.begin(), row.begin() + next.slots_per_rank, row.end());
  return next;
}

class ExpertMove : public EngineTest {
 protected:
  std::unique_ptr<Engine> start_with(std::function<void(int)> on_expert_read) {
    EngineOptions moving = options(4);
    moving.on_expert_read = std::move(on_expert_read);
    return start_engine(moving, kTokens, make_thread_comms(4));
  }
};

TEST_F(ExpertMove, AnswersAreTheSameBeforeDuringAndAfter) {
  const auto engine = start_with({});
  const auto before = ask(*engine, 2, 60);
  for (int move = 0; move < 3; ++move) {
    Answer during;
    engine->submit(request(2, 60), during.sink());
    ASSERT_TRUE(during.wait_tokens(5));
    const ExpertPlacement next = turned(*engine);
    engine->move_experts(next, {}).get();
    EXPECT_EQ(engine->expert_placement(), next);
    EXPECT_EQ(during.wait(), FinishReason::kLength);
    EXPECT_EQ(during.tokens(), before);
    EXPECT_EQ(ask(*engine, 2, 60), before);
  }
}

TEST_F(ExpertMove, ThatIsTooSlowIsGivenUpWhileRequestsRun) {
  const auto engine = start_with({});
  const auto before = ask(*engine, 2, 60);
  const ExpertPlacement old = engine->expert_placement();
  auto move = engine->move_experts(turned(*engine), {.max_bytes_per_second = 1, .limit = 300ms});
  EXPECT_EQ(ask(*engine, 2, 60), before);
  const Error fault = fault_of(std::move(move));
  EXPECT_EQ(fault.code(), Code::kDeadlineExceeded);
  EXPECT_THAT(fault.what(), HasSubstr("waited for rank 0, 1, 2, 3"));
  EXPECT_EQ(engine->expert_placement(), old);
  EXPECT_EQ(ask(*engine, 2, 60), before);
}

TEST_F(ExpertMove, ThatOneRankCannotPrepareLeavesTheOldPlacement) {
  std::atomic<int> reads{0};
  std::atomic<bool> broken{true};
  const auto engine = start_with([&](int rank) {
    if (rank == 2 && broken && ++reads == 3) throw Error(Code::kDataLoss, "the disk is gone");
  });
  const auto before = ask(*engine, 2, 40);
  const ExpertPlacement old = engine->expert_placement();
  const Error fault = fault_of(engine->move_experts(turned(*engine), {}));
  EXPECT_THAT(fault.what(), HasSubstr("rank 2: the disk is gone"));
  EXPECT_EQ(engine->expert_placement(), old);
  EXPECT_EQ(ask(*engine, 2, 40), before);

  broken = false;
  const ExpertPlacement next = turned(*engine);
  const auto limit = std::chrono::steady_clock::now() + kPatience;
  while (engine->expert_placement() != next && std::chrono::steady_clock::now() < limit) {
    try {
      engine->move_experts(next, {}).get();
    } catch (const Error& error) {  // other ranks may still be ending the move that was given up
      EXPECT_THAT(error.what(), HasSubstr("busy"));
    }
  }
  EXPECT_EQ(engine->expert_placement(), next);
  EXPECT_EQ(ask(*engine, 2, 40), before);
}

TEST_F(ExpertMove, ThatStallsOnOneRankNeverStopsTheSteps) {
  std::binary_semaphore released{0};
  std::atomic<bool> stall{true};
  const auto engine = start_with([&](int rank) {
    if (rank == 1 && stall.exchange(false)) released.acquire();
  });
  const auto before = ask(*engine, 2, 40);
  const ExpertPlacement old = engine->expert_placement();
  const Error fault = fault_of(engine->move_experts(turned(*engine), {.limit = 200ms}));
  EXPECT_EQ(fault.code(), Code::kDeadlineExceeded);
  EXPECT_THAT(fault.what(), HasSubstr("waited for rank 1"));
  EXPECT_EQ(ask(*engine, 2, 40), before);
  EXPECT_THAT(fault_of(engine->move_experts(turned(*engine), {})).what(), HasSubstr("rank 1 is still busy"));
  EXPECT_EQ(engine->expert_placement(), old);
  EXPECT_EQ(ask(*engine, 2, 40), before);
  released.release();
}

TEST_F(ExpertMove, IsRefusedWhileAnotherIsGoingOn) {
  const auto engine = start_with({});
  auto first = engine->move_experts(turned(*engine), {.max_bytes_per_second = 1, .limit = 2s});
  try {
    engine->move_experts(turned(*engine), {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kConflict);
  }
  EXPECT_EQ(fault_of(std::move(first)).code(), Code::kDeadlineExceeded);
}

TEST_F(ExpertMove, EndsWithTheEngine) {
  auto engine = start_with({});
  auto move = engine->move_experts(turned(*engine), {.max_bytes_per_second = 1});
  engine.reset();
  EXPECT_EQ(fault_of(std::move(move)).code(), Code::kUnavailable);
}

TEST_F(ExpertMove, TokensOfExpertsAreCountedSinceTheStart) {
  const auto engine = start_with({});
  ask(*engine, 0, 40);
  const auto limit = std::chrono::steady_clock::now() + kPatience;
  while (engine->expert_load().total_steps < 40 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  const ExpertLoad load = engine->expert_load();
  std::int64_t counted = 0;
  for (const std::int64_t tokens : load.total_tokens) counted += tokens;
  EXPECT_EQ(counted, (20 + 39) * 4 * 4) << "tokens x layers x experts of a token";
  EXPECT_EQ(engine->info().expert_bytes, 3 * 128 * 64 * 2);
}

}  // namespace
}  // namespace millrace::engine
