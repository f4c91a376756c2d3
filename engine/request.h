// What a caller asks of the engine, and what comes back.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/types.h"

namespace millrace::engine {

// Checked by validate(): ranges as the OpenAI API and vLLM state them.
struct SamplingParams {
  float temperature = 1.0F;           // >= 0; 0 is greedy
  std::int32_t top_k = 0;             // -1 or 0: off
  float top_p = 1.0F;                 // (0, 1]
  float min_p = 0.0F;                 // [0, 1]
  float presence_penalty = 0.0F;      // [-2, 2]
  float frequency_penalty = 0.0F;     // [-2, 2]
  float repetition_penalty = 1.0F;    // > 0
  std::optional<std::uint64_t> seed;  // absent: drawn by the engine
  std::int64_t max_tokens = 16;       // >= 1; the engine also ends at the context limit
  std::int64_t min_tokens = 0;
  bool ignore_eos = false;
  std::vector<TokenId> stop_token_ids;  // in addition to the model's own
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::int32_t logprobs = -1;  // -1: none; n >= 0: the drawn token's and the n most likely
};

struct Request {
  std::vector<TokenId> prompt;  // not empty, shorter than the context limit
  SamplingParams params;
};

enum class FinishReason : std::uint8_t {
  kStop,    // end-of-sequence or a stop token
  kLength,  // max_tokens or the context limit
  kAbort,   // cancelled
  kError,   // the group failed; `message` says why
};

struct TokenLogprobs {
  float logprob = 0.0F;
  std::vector<std::pair<TokenId, float>> top;  // most likely first
};

// When a request passed its stations, on the engine's monotonic clock. Stations that it did not reach are absent.
struct RequestTimes {
  using Clock = std::chrono::steady_clock;

  Clock::time_point queued{};                    // submit() took it
  std::optional<Clock::time_point> scheduled;    // the first step that computed some of it began
  std::optional<Clock::time_point> first_token;  // the step that drew its first token was complete
  Clock::time_point finished{};                  // the last event was sent
};

// One generated token, or the end. The stop token itself is delivered with `finish` = kStop and is not part of the
// text.
struct TokenEvent {
  RequestId id{};
  std::optional<TokenId> token;
  std::optional<TokenLogprobs> logprobs;
  std::optional<FinishReason> finish;  // set on the last event of a request
  std::string message;                 // for kError
  std::optional<RequestTimes> times;   // with `finish`
};

// Called on the engine's thread: must not block and must not throw.
using TokenSink = std::function<void(TokenEvent)>;

}  // namespace millrace::engine
