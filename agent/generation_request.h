// What a client asks of a generation, whichever route it came by.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/request_fields.h"
#include "engine/request.h"

namespace millrace::agent {

// What requests are checked against and completed from.
struct ModelLimits {
  std::string served_model_name;
  std::int64_t max_model_len = 0;
  std::int64_t vocab = 0;             // ids that may be drawn
  engine::SamplingParams defaults{};  // generation_config.json over the API's own defaults
};

inline constexpr std::int64_t kMaxChoices = 128;  // of one HTTP request: prompts times n

struct GenerationRequest {
  bool stream = false;
  bool include_usage = false;           // stream_options
  bool continuous_usage_stats = false;  // stream_options
  std::int32_t n = 1;                   // choices per prompt
  engine::SamplingParams params;        // max_tokens is set by `max_tokens` below
  std::optional<std::int64_t> max_tokens;
  std::vector<std::string> stop;
  bool include_stop_str_in_output = false;
  bool skip_special_tokens = true;
  bool return_token_ids = false;
  std::vector<std::string> unknown_fields;  // ignored
};

// The fields that both routes share, except logprobs and the maximum of tokens. Throws ApiError; 404 for a wrong model
// name.
GenerationRequest parse_generation_fields(const RequestFields& fields, const ModelLimits& limits);

// generation_config.json's text over the API's defaults. Throws common::Error naming the field; empty text gives the
// defaults.
engine::SamplingParams default_sampling_params(const std::string& generation_config);

// Absent is fine; a name other than the served one is 404.
void check_model_name(const RequestFields& fields, const ModelLimits& limits);

// Refuses what the API knows and this server cannot do, naming what is accepted instead. Fields that only matter to
// other servers' bookkeeping (user, store, ...) are accepted without effect.
void refuse_unsupported_fields(const RequestFields& fields);

}  // namespace millrace::agent
