#pragma once

#include <cstdint>

#include "engine/request.h"

namespace millrace::engine {

// Throws kInvalidArgument naming the parameter, its value and the accepted range.
void validate(const SamplingParams& params, std::int64_t vocab);
void validate_prompt(const std::vector<TokenId>& prompt, std::int64_t vocab, std::int64_t max_model_len);

}  // namespace millrace::engine
