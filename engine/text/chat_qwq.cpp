// QwQ-32B's chat format: ChatML, tool calls as JSON, and a generation prompt that always opens a thought. Unlike
// Qwen3.5 it trims nothing, knows no reasoning field, and drops the thoughts of every message but the last.
#include <nlohmann/json.hpp>

#include "engine/text/chat_renderer.h"
#include "engine/text/python_text.h"

namespace millrace::engine {
namespace {

class QwqRenderer {
 public:
  explicit QwqRenderer(const ChatInput& input) : input_(input) {}

  RenderedChat render() {
    if (input_.messages.empty()) refuse_chat("No messages provided.");
    check_continuation(input_);
    head();
    for (std::size_t i = 0; i < input_.messages.size(); ++i) message(i);
    if (input_.options.add_generation_prompt) own("<|im_start|>assistant\n<think>\n");
    return {prompt_.segments(), input_.options.add_generation_prompt};
  }

 private:
  void own(std::string_view text) { prompt_.append(text, true); }
  void theirs(std::string_view text) { prompt_.append(text, input_.options.trust_message_text); }

  static std::string content_of(const ChatMessage& message) {
    std::string content;
    for (const ContentPart& part : message.content) {
      if (part.kind != ContentPart::Kind::kText)
        refuse_chat("this model takes text only; messages contain an image or video");
      content += part.text;
    }
    return content;
  }

  void turn(std::string_view role, std::string_view content) {
    own("<|im_start|>" + std::string(role) + "\n");
    theirs(content);
    own("<|im_end|>\n");
  }

  void head() {
    const bool has_system = input_.messages[0].role == "system";
    if (input_.tools.empty()) {
      if (has_system) turn("system", content_of(input_.messages[0]));
      return;
    }
    own("<|im_start|>system\n");
    if (has_system) theirs(content_of(input_.messages[0]));
    own("\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n<tools>");
    for (const std::string& line : input_.tools.lines()) {
      own("\n");
      theirs(line);
    }
    own("\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
        "<tool_call></tool_call> XML tags:\n<tool_call>\n"
        "{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n");
  }

  void message(std::size_t i) {
    const ChatMessage& message = input_.messages[i];
    const std::string content = content_of(message);
    if (message.role == "user") {
      turn("user", content);
    } else if (message.role == "system") {
      if (i > 0) turn("system", content);
    } else if (message.role == "assistant") {
      assistant(i, content);
    } else if (message.role == "tool") {
      PromptText text;
      text.append(content, input_.options.trust_message_text);
      append_tool_message(input_, i, text, prompt_);
    } else {
      refuse_role(input_, i);
    }
  }

  void assistant(std::size_t i, std::string_view content) {
    const ChatMessage& message = input_.messages[i];
    std::string_view shown = content;
    if (!is_last(input_, i)) {
      if (const std::size_t end = shown.rfind("</think>"); end != std::string_view::npos) shown.remove_prefix(end + 8);
      shown.remove_prefix(std::min(shown.find_first_not_of('\n'), shown.size()));
    }
    own("<|im_start|>assistant");
    if (message.tool_calls.empty() || !content.empty()) {
      own("\n");
      theirs(shown);
    }
    if (input_.options.continue_final_message && is_last(input_, i)) return;
    for (std::size_t call = 0; call < message.tool_calls.size(); ++call) {
      own("\n<tool_call>\n{\"name\": \"");
      theirs(message.tool_calls[call].name);
      own("\", \"arguments\": ");
      theirs(python_json(parse_arguments(input_, i, call)));
      own("}\n</tool_call>");
    }
    own("<|im_end|>\n");
  }

  const ChatInput& input_;
  PromptText prompt_;
};

}  // namespace

RenderedChat render_qwq(const ChatInput& input) {
  return QwqRenderer(input).render();
}

}  // namespace millrace::engine
