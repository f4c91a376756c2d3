#include "engine/runtime/sampling_params.h"

#include <cmath>
#include <sstream>
#include <string_view>

#include "common/error.h"

namespace millrace::engine {
namespace {

template <typename T>
void require(bool ok, std::string_view name, T value, std::string_view accepted) {
  if (ok) return;
  std::ostringstream message;
  message << name << " is " << value << "; it must be " << accepted;
  throw common::Error(common::Code::kInvalidArgument, message.str());
}

bool within(float value, float low, float high) {
  return std::isfinite(value) && value >= low && value <= high;
}

}  // namespace

void validate(const SamplingParams& params, std::int64_t vocab) {
  require(std::isfinite(params.temperature) && params.temperature >= 0, "temperature", params.temperature,
          "0 or greater");
  require(params.top_k >= -1, "top_k", params.top_k, "-1 (off), 0 (off) or greater");
  require(within(params.top_p, 0, 1) && params.top_p > 0, "top_p", params.top_p, "greater than 0 and at most 1");
  require(within(params.min_p, 0, 1), "min_p", params.min_p, "between 0 and 1");
  require(within(params.presence_penalty, -2, 2), "presence_penalty", params.presence_penalty, "between -2 and 2");
  require(within(params.frequency_penalty, -2, 2), "frequency_penalty", params.frequency_penalty, "between -2 and 2");
  require(std::isfinite(params.repetition_penalty) && params.repetition_penalty > 0, "repetition_penalty",
          params.repetition_penalty, "greater than 0");
  require(params.max_tokens >= 1, "max_tokens", params.max_tokens, "at least 1");
  require(params.min_tokens >= 0 && params.min_tokens <= params.max_tokens, "min_tokens", params.min_tokens,
          "between 0 and max_tokens");
  require(params.logprobs >= -1 && params.logprobs <= 20, "logprobs", params.logprobs, "between 0 and 20");
  for (const auto& [token, bias] : params.logit_bias) {
    require(token >= 0 && token < vocab, "logit_bias token id", token,
            "inside the vocabulary of " + std::to_string(vocab));
    require(within(bias, -100, 100), "logit_bias value", bias, "between -100 and 100");
  }
  for (const TokenId token : params.stop_token_ids) {
    require(token >= 0 && token < vocab, "stop_token_ids entry", token,
            "inside the vocabulary of " + std::to_string(vocab));
  }
}

void validate_prompt(const std::vector<TokenId>& prompt, std::int64_t vocab, std::int64_t max_model_len) {
  require(!prompt.empty(), "prompt length", prompt.size(), "at least 1 token");
  require(static_cast<std::int64_t>(prompt.size()) < max_model_len, "prompt length", prompt.size(),
          "less than the context of " + std::to_string(max_model_len) + " tokens");
  for (const TokenId token : prompt) {
    require(token >= 0 && token < vocab, "prompt token id", token, "inside the vocabulary of " + std::to_string(vocab));
  }
}

}  // namespace millrace::engine
