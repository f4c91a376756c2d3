// POST /v1/chat/completions: the body, checked.
#pragma once

#include <memory>
#include <vector>

#include "agent/generation_request.h"
#include "engine/text/chat_template.h"
#include "engine/text/tool_set.h"

namespace millrace::agent {

struct ChatRequest {
  GenerationRequest generation;
  std::vector<engine::ChatMessage> messages;
  engine::ToolSet tools;  // empty with tool_choice "none"
  bool parallel_tool_calls = true;
  bool include_reasoning = true;  // false: reasoning is not part of the answer
  engine::ChatOptions options;
};

// Throws ApiError naming the field.
ChatRequest parse_chat_request(const Json& body, const ModelLimits& limits);

// The part that /tokenize shares: tools, tool_choice and how the conversation is rendered.
void parse_chat_rendering(const RequestFields& fields, ChatRequest& request);

}  // namespace millrace::agent
