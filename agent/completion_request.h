// POST /v1/completions: the body, checked.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "agent/generation_request.h"

namespace millrace::agent {

using PromptInput = std::variant<std::string, std::vector<engine::TokenId>>;

struct CompletionRequest {
  GenerationRequest generation;
  std::vector<PromptInput> prompts;  // at least one
  bool echo = false;                 // the prompt comes back in front of the answer
};

// Throws ApiError naming the field.
CompletionRequest parse_completion_request(const Json& body, const ModelLimits& limits);

}  // namespace millrace::agent
