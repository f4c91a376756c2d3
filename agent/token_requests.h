// POST /tokenize and /detokenize: bodies to answers. Pure; throw ApiError.
#pragma once

#include "agent/generation_request.h"
#include "agent/model_text.h"

namespace millrace::agent {

// {prompt} or {messages, tools, add_generation_prompt, ...}, with return_token_strs.
Json answer_tokenize(const Json& body, const ModelText& text, const ModelLimits& limits);
// {tokens}
Json answer_detokenize(const Json& body, const ModelText& text, const ModelLimits& limits);

}  // namespace millrace::agent
