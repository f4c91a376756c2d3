// What tests of the whole engine share: the tiny checkpoint, requests, and waiting for answers.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <vector>

#include "engine/engine.h"
#include "tests/paths.h"

namespace millrace::engine {

using namespace std::chrono_literals;

inline constexpr auto kPatience = 60s;
inline const std::filesystem::path kModel = std::filesystem::path(MILLRACE_SOURCE_DIR) / "examples/models/tiny-moe";
inline const ModelTokens kTokens{1100, {}};

// Collects the events of one request; any thread may wait for them.
class Answer {
 public:
  TokenSink sink() {
    return [this](TokenEvent event) {
      const std::lock_guard lock(mutex_);
      if (event.token) tokens_.push_back(*event.token);
      if (event.finish) finish_ = event.finish;
      message_ = event.message;
      times_ = event.times;
      changed_.notify_all();
    };
  }
  bool wait_tokens(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return tokens_.size() >= count || finish_; });
  }
  std::optional<FinishReason> wait() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return finish_.has_value(); });
    return finish_;
  }
  std::vector<TokenId> tokens() {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }
  std::optional<RequestTimes> times() {
    const std::lock_guard lock(mutex_);
    return times_;
  }
  std::string message() {
    const std::lock_guard lock(mutex_);
    return message_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TokenId> tokens_;
  std::optional<FinishReason> finish_;
  std::optional<RequestTimes> times_;
  std::string message_;
};

inline std::vector<std::unique_ptr<Comm>> single() {
  std::vector<std::unique_ptr<Comm>> comms;
  comms.push_back(make_single_comm());
  return comms;
}

inline EngineOptions options(int expert_parallel = 1) {
  EngineOptions options;
  options.model_directory = kModel;
  options.threads = 1;
  options.expert_parallel = expert_parallel;
  options.max_model_len = 512;
  options.max_num_seqs = 4;
  options.max_num_batched_tokens = 32;
  options.cache_bytes = 64 << 20;
  return options;
}

inline Request request(int variant, std::int64_t max_tokens = 24) {
  Request request;
  for (int i = 0; i < 20 + 7 * variant; ++i) request.prompt.push_back((i * 37 + variant * 11) % 1000);
  request.params.temperature = 0;
  request.params.max_tokens = max_tokens;
  request.params.ignore_eos = true;
  return request;
}

inline std::unique_ptr<Engine> start(int ranks, int expert_parallel = 1) {
  return start_engine(options(expert_parallel), kTokens, ranks == 1 ? single() : make_thread_comms(ranks));
}

inline std::vector<TokenId> ask(Engine& engine, int variant, std::int64_t max_tokens = 24) {
  Answer answer;
  EXPECT_TRUE(engine.submit(request(variant, max_tokens), answer.sink()).accepted);
  EXPECT_EQ(answer.wait(), FinishReason::kLength);
  return answer.tokens();
}

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kModel / "config.json")) GTEST_SKIP() << kModel << " is absent";
  }
};

}  // namespace millrace::engine
