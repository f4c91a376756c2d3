#include "engine/text/chat_renderer.h"

#include <nlohmann/json.hpp>

#include "common/error.h"

namespace millrace::engine {

void refuse_chat(const std::string& message) {
  throw common::Error(common::Code::kInvalidArgument, message);
}

void check_continuation(const ChatInput& input) {
  if (!input.options.continue_final_message) return;
  if (input.options.add_generation_prompt) {
    refuse_chat("continue_final_message and add_generation_prompt exclude each other; set one of them to false");
  }
  const ChatMessage& last = input.messages.back();
  if (last.role != "assistant" || !last.tool_calls.empty()) {
    refuse_chat("continue_final_message needs an assistant message without tool calls at the end of messages");
  }
}

bool is_last(const ChatInput& input, std::size_t index) {
  return index + 1 == input.messages.size();
}

nlohmann::ordered_json parse_arguments(const ChatInput& input, std::size_t index, std::size_t call) {
  const std::string& text = input.messages[index].tool_calls[call].arguments;
  if (text.empty()) return nlohmann::ordered_json::object();
  nlohmann::ordered_json arguments = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!arguments.is_object()) {
    refuse_chat("messages[" + std::to_string(index) + "].tool_calls[" + std::to_string(call) +
                "].function.arguments is not a JSON object: " + text.substr(0, 200));
  }
  return arguments;
}

void append_tool_message(const ChatInput& input, std::size_t index, const PromptText& content, PromptText& prompt) {
  const auto& messages = input.messages;
  if (index > 0 && messages[index - 1].role != "tool") prompt.append("<|im_start|>user", true);
  prompt.append("\n<tool_response>\n", true);
  prompt.append(content);
  prompt.append("\n</tool_response>", true);
  if (is_last(input, index) || messages[index + 1].role != "tool") prompt.append("<|im_end|>\n", true);
}

void refuse_role(const ChatInput& input, std::size_t index) {
  refuse_chat("Unexpected message role. messages[" + std::to_string(index) + "].role is \"" +
              input.messages[index].role + "\"; accepted: system, user, assistant, tool");
}

}  // namespace millrace::engine
