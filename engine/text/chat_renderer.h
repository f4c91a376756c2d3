// The native renderers behind ChatTemplate::render, one per template of the family.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "engine/text/chat_template.h"
#include "engine/text/prompt_text.h"

namespace millrace::engine {

// What a renderer works on; lives for one call.
struct ChatInput {
  const std::vector<ChatMessage>& messages;
  const ToolSet& tools;
  const ChatOptions& options;
};

RenderedChat render_qwen35(const ChatInput& input, bool thinks_by_default);
RenderedChat render_qwq(const ChatInput& input);

// Shared checks and steps.
[[noreturn]] void refuse_chat(const std::string& message);
void check_continuation(const ChatInput& input);
bool is_last(const ChatInput& input, std::size_t index);
// Of messages[index].tool_calls[call]; an object.
nlohmann::ordered_json parse_arguments(const ChatInput& input, std::size_t index, std::size_t call);
// A tool message: consecutive ones share one user turn.
void append_tool_message(const ChatInput& input, std::size_t index, const PromptText& content, PromptText& prompt);
[[noreturn]] void refuse_role(const ChatInput& input, std::size_t index);

}  // namespace millrace::engine
