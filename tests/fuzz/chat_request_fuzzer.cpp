// Request bodies: whatever the bytes, parsing gives a request inside its bounds or an ApiError, and nothing else.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/api_error.h"
#include "agent/chat_request.h"
#include "agent/completion_request.h"
#include "agent/json_body.h"
#include "tests/fuzz/fuzz_check.h"

namespace {

using millrace::agent::ApiError;
using millrace::agent::GenerationRequest;
using millrace::agent::Json;
using millrace::agent::ModelLimits;
using millrace::fuzz::check;

constexpr std::int64_t kVocab = 1000;

void check_bounds(const GenerationRequest& request) {
  const auto& params = request.params;
  check(request.n >= 1 && request.n <= millrace::agent::kMaxChoices, "n is in range");
  check(params.temperature >= 0.0F && params.top_p > 0.0F && params.top_p <= 1.0F,
        "temperature and top_p are in range");
  check(params.top_k >= -1 && params.min_p >= 0.0F && params.min_p <= 1.0F, "top_k and min_p are in range");
  check(params.min_tokens >= 0 && params.logprobs >= -1 && params.logprobs <= 20,
        "min_tokens and logprobs are in range");
  check(!request.max_tokens || *request.max_tokens >= 1, "max_tokens is positive");
  for (const auto id : params.stop_token_ids) check(id >= 0 && id < kVocab, "stop ids are in the vocabulary");
  for (const auto& [id, bias] : params.logit_bias)
    check(id >= 0 && id < kVocab && bias >= -100.0F && bias <= 100.0F, "biases are in range");
}

template <typename Parse>
void attempt(Parse parse) {
  try {
    parse();
  } catch (const ApiError& error) {
    check(error.fields().status == 400 || error.fields().status == 404, "the status is the client's fault");
    check(!error_body(error).empty(), "an error has a body");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ModelLimits limits;
  limits.served_model_name = "tiny";
  limits.max_model_len = 512;
  limits.vocab = kVocab;
  attempt([&] {
    const Json body = millrace::agent::parse_json_body({reinterpret_cast<const char*>(data), size});
    attempt([&] {
      const auto request = millrace::agent::parse_chat_request(body, limits);
      check(!request.messages.empty(), "a chat has messages");
      check_bounds(request.generation);
    });
    attempt([&] {
      const auto request = millrace::agent::parse_completion_request(body, limits);
      check(!request.prompts.empty(), "a completion has prompts");
      check_bounds(request.generation);
    });
  });
  return 0;
}
