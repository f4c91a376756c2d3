// From a checked request to what the engine is asked and how its tokens become the answer. Pure.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/chat_request.h"
#include "agent/choice_builder.h"
#include "agent/completion_request.h"
#include "agent/model_text.h"
#include "agent/response_format.h"

namespace millrace::agent {

struct GenerationPlan {
  struct Choice {
    engine::Request request;
    ChoiceOptions options;
  };
  std::vector<Choice> choices;  // prompts times n
  engine::ToolSet tools;
  std::unique_ptr<ResponseFormat> format;
  std::int64_t prompt_tokens = 0;  // of all prompts, each counted once
  std::int32_t n = 1;
  bool stream = false;
  bool include_usage = false;
  bool continuous_usage_stats = false;
};

// Identity of an answer: given, so that the functions stay pure.
struct AnswerStamp {
  std::string id;
  std::int64_t created = 0;
};

// Throw ApiError: the conversation cannot be rendered, the prompt is empty or does not fit the context.
GenerationPlan plan_chat(ChatRequest request, const ModelText& text, const ModelLimits& limits, AnswerStamp stamp);
GenerationPlan plan_completion(CompletionRequest request, const ModelText& text, const ModelLimits& limits,
                               AnswerStamp stamp);

// The tokens of a conversation, and whether generation starts inside reasoning.
struct ChatPrompt {
  std::vector<engine::TokenId> tokens;
  bool thinking = false;
};
ChatPrompt encode_chat(const ChatRequest& request, const ModelText& text);

}  // namespace millrace::agent
