// The whole engine on the tiny checkpoint: real weights, real back end, one to four ranks.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>
#include <thread>

#include "common/error.h"
#include "tests/engine/runtime/engine_fixture.h"

namespace millrace::engine {
namespace {

using common::Code;
using common::Error;

TEST_F(EngineTest, AnswersWithTheTokensThatWereAskedFor) {
  const auto engine = start(1);
  const auto tokens = ask(*engine, 0);
  EXPECT_EQ(tokens.size(), 24U);
  for (const TokenId token : tokens) EXPECT_LT(token, kTokens.drawable_vocab);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.generated_tokens, 24);
  EXPECT_EQ(stats.prompt_tokens, 20);
  EXPECT_EQ(stats.step_sizes.tokens, 20 + 23);
  EXPECT_EQ(stats.step_sizes.counts[0], 23) << "decoding steps";
  EXPECT_EQ(stats.step_sizes.counts[3], 1) << "one prefill of 17 to 32 tokens";
}

TEST_F(EngineTest, SaysWhenARequestPassedItsStations) {
  const auto engine = start(1);
  const auto before = RequestTimes::Clock::now();
  Answer whole;
  engine->submit(request(0, 4), whole.sink());
  ASSERT_EQ(whole.wait(), FinishReason::kLength);
  const RequestTimes times = whole.times().value();
  EXPECT_LE(before, times.queued);
  EXPECT_LE(times.queued, times.scheduled.value());
  EXPECT_LT(times.scheduled.value(), times.first_token.value());
  EXPECT_LT(times.first_token.value(), times.finished);
  EXPECT_LE(times.finished, RequestTimes::Clock::now());

  Answer cancelled;
  const auto submitted = engine->submit(request(0, 400), cancelled.sink());
  ASSERT_TRUE(cancelled.wait_tokens(1));
  engine->cancel(submitted.id);
  ASSERT_EQ(cancelled.wait(), FinishReason::kAbort);
  EXPECT_GE(cancelled.times().value().finished, cancelled.times().value().first_token.value());
}

TEST_F(EngineTest, AQueueOfNoneStillTakesWhatCanRun) {
  EngineOptions small = options();
  small.max_queued_requests = 0;
  small.max_num_seqs = 1;
  const auto engine = start_engine(small, kTokens, single());
  Answer first;
  ASSERT_TRUE(engine->submit(request(0, 400), first.sink()).accepted);
  EXPECT_FALSE(engine->submit(request(0, 1), {}).accepted);
  EXPECT_EQ(first.wait(), FinishReason::kLength);
}

TEST_F(EngineTest, ABatchGivesTheSameAnswersAsSingles) {
  const auto engine = start(1);
  std::vector<std::vector<TokenId>> singles;
  for (int variant = 0; variant < 6; ++variant) singles.push_back(ask(*engine, variant));
  std::vector<Answer> answers(6);
  for (int variant = 0; variant < 6; ++variant)
    engine->submit(request(variant), answers[static_cast<std::size_t>(variant)].sink());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i].wait(), FinishReason::kLength);
    EXPECT_EQ(answers[i].tokens(), singles[i]) << "request " << i;
  }
}

TEST_F(EngineTest, TwoAndFourRanksGiveTheTokensOfOne) {
  const auto one = ask(*start(1), 1);
  EXPECT_EQ(ask(*start(2), 1), one);
  EXPECT_EQ(ask(*start(2, 2), 1), one);
  EXPECT_EQ(ask(*start(4, 2), 1), one);
  EXPECT_EQ(ask(*start(4, 4), 1), one);
}

TEST_F(EngineTest, RanksOverTcpGiveTheTokensOfOne) {
  const std::vector<TcpEndpoint> endpoints = {{"127.0.0.1", 23417}, {"127.0.0.2", 23417}};
  const auto connect = [&](int rank) {
    TcpCommOptions tcp;
    tcp.rank = rank;
    tcp.endpoints = endpoints;
    tcp.generation = 3;
    tcp.secret = "s";
    std::vector<std::unique_ptr<Comm>> comms;
    comms.push_back(connect_tcp_comm(tcp));
    return comms;
  };
  std::atomic<bool> follower_ready{false};
  std::thread follower([&] { follow(options(2), kTokens, connect(1), [&] { follower_ready = true; }); });
  std::vector<TokenId> tokens;
  {
    const auto engine = start_engine(options(2), kTokens, connect(0));
    tokens = ask(*engine, 1);
  }
  follower.join();  // the leader's end stops it
  EXPECT_TRUE(follower_ready);
  EXPECT_EQ(tokens, ask(*start(1), 1));
}

TEST_F(EngineTest, CancellationEndsTheRequestAndFreesItsMemory) {
  const auto engine = start(1);
  Answer answer;
  const auto submitted = engine->submit(request(0, 400), answer.sink());
  ASSERT_TRUE(answer.wait_tokens(2));
  engine->cancel(submitted.id);
  EXPECT_EQ(answer.wait(), FinishReason::kAbort);
  ask(*engine, 1, 1);  // a step later
  Answer after;
  engine->submit(request(1, 1), after.sink());
  after.wait();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (engine->stats().kv_blocks_used != 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(engine->stats().kv_blocks_used, 0);
  EXPECT_EQ(engine->stats().state_slots_used, 0);
}

TEST_F(EngineTest, AFullQueueRefusesAtOnce) {
  EngineOptions small = options();
  small.max_queued_requests = 2;
  small.max_num_seqs = 1;
  const auto engine = start_engine(small, kTokens, single());
  std::deque<Answer> answers;
  std::size_t refused = 0;
  for (int i = 0; i < 12; ++i) {
    answers.emplace_back();
    if (!engine->submit(request(0, 100), answers.back().sink()).accepted) {
      ++refused;
      answers.pop_back();
    }
  }
  EXPECT_GT(refused, 0U);
  EXPECT_LE(answers.size(), 12U - refused);
  for (Answer& answer : answers) EXPECT_EQ(answer.wait(), FinishReason::kLength);
}

TEST_F(EngineTest, BadRequestsAreRefusedWithTheNameOfTheField) {
  const auto engine = start(1);
  Answer answer;
  Request bad = request(0);
  bad.params.top_p = 7;
  EXPECT_THROW(engine->submit(bad, answer.sink()), Error);
  bad = request(0);
  bad.prompt.assign(512, 1);
  try {
    engine->submit(bad, answer.sink());
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("512"), std::string::npos);
  }
}

TEST_F(EngineTest, ExpertsMoveWhileRequestsRunWithoutChangingTheAnswer) {
  EngineOptions moving = options(2);
  moving.redundant_expert_slots = 2;  // 16 experts on 2 expert ranks, 2 spare slots on each
  const auto engine = start_engine(moving, kTokens, make_thread_comms(2));
  const auto before = ask(*engine, 2, 60);

  ExpertPlacement next = engine->expert_placement();
  ASSERT_EQ(next.slots_per_rank, 10);
  next.number = 1;
  for (auto& layer : next.slots) {
    for (std::int32_t slot = 0; slot < 20; ++slot) layer[static_cast<std::size_t>(slot)] = (slot * 5 + 3) % 16;
  }
  Answer during;
  engine->submit(request(2, 60), during.sink());
  ASSERT_TRUE(during.wait_tokens(5));
  engine->move_experts(next, {}).get();
  EXPECT_EQ(engine->expert_placement(), next);
  EXPECT_EQ(during.wait(), FinishReason::kLength);
  EXPECT_EQ(during.tokens(), before);
  EXPECT_EQ(ask(*engine, 2, 60), before);
}

TEST_F(EngineTest, APlacementThatLosesAnExpertIsRefused) {
  const auto engine = start(2, 2);
  ExpertPlacement bad = engine->expert_placement();
  for (auto& expert : bad.slots[0]) expert = 0;
  EXPECT_THROW(engine->move_experts(bad, {}), Error);
}

TEST_F(EngineTest, CountsTheTokensOfEveryExpert) {
  const auto engine = start(1);
  ask(*engine, 0, 40);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (engine->expert_load().steps < 40 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  const ExpertLoad load = engine->expert_load();
  ASSERT_EQ(load.num_experts, 16);
  std::int64_t total = 0;
  for (const std::int64_t tokens : load.tokens) total += tokens;
  // Every computed token goes to 4 experts in each of the 4 layers; the last drawn one is never computed.
  EXPECT_EQ(total, (20 + 39) * 4 * 4);
}

TEST_F(EngineTest, ALostRankFailsTheRequestsAndSaysSo) {
  auto comms = make_thread_comms(2);
  std::vector<std::unique_ptr<Comm>> leader;
  leader.push_back(std::move(comms[0]));
  std::vector<std::unique_ptr<Comm>> lost;
  lost.push_back(std::move(comms[1]));
  Comm& breaker = *lost.front();
  std::thread follower([&] {
    try {
      follow(options(), kTokens, std::move(lost), [] {});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kUnavailable);
    }
  });
  {
    const auto engine = start_engine(options(), kTokens, std::move(leader));
    Answer answer;
    engine->submit(request(0, 400), answer.sink());
    ASSERT_TRUE(answer.wait_tokens(2));
    breaker.abort("rank 1 was killed");
    EXPECT_EQ(answer.wait(), FinishReason::kError);
    EXPECT_NE(answer.message().find("rank 1 was killed"), std::string::npos) << answer.message();
    EXPECT_THROW(engine->submit(request(0), answer.sink()), Error);
    EXPECT_NE(engine->failure(), "");
    follower.join();
  }
}

TEST_F(EngineTest, AMissingModelIsAnErrorThatNamesIt) {
  EngineOptions absent = options();
  absent.model_directory = "/no/such/model";
  try {
    start_engine(absent, kTokens, make_thread_comms(2));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kNotFound);
    EXPECT_NE(std::string(error.what()).find("/no/such/model"), std::string::npos);
  }
}

TEST_F(EngineTest, StoppingTheEngineEndsWhatRuns) {
  Answer answer;
  {
    const auto engine = start(1);
    engine->submit(request(0, 400), answer.sink());
    ASSERT_TRUE(answer.wait_tokens(1));
  }
  EXPECT_EQ(answer.wait(), FinishReason::kAbort);
}

}  // namespace
}  // namespace millrace::engine
