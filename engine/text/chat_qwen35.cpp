// The Qwen3.5 chat format (qwen3_5-io 2.2). Numbers in comments are the rules of that section.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/text/chat_renderer.h"
#include "engine/text/python_text.h"

namespace millrace::engine {
namespace {

// Golden: 817 bytes with what the head adds around it, sha256 c618bf70... (see the test).
constexpr std::string_view kCallInstructions =
    "\n\nIf you choose to call a function ONLY reply in the following format with NO suffix:\n\n"
    "<tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>\nvalue_1\n</parameter>\n"
    "<parameter=example_parameter_2>\nThis is the value for the second parameter\nthat can span\nmultiple lines\n"
    "</parameter>\n</function>\n</tool_call>\n\n<IMPORTANT>\nReminder:\n"
    "- Function calls MUST follow the specified format: an inner <function=...></function> block must be nested within "
    "<tool_call></tool_call> XML tags\n"
    "- Required parameters MUST be specified\n"
    "- You may provide optional reasoning for your function call in natural language BEFORE the function call, but NOT "
    "after\n"
    "- If there is no function call available, answer the question like normal with your current knowledge and do not "
    "tell the user about function calls\n"
    "</IMPORTANT>";

constexpr std::string_view kEndThink = "</think>";

std::string_view lstrip_newlines(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  return text;
}

std::string_view rstrip_newlines(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\n') + 1);  // npos + 1 is 0
}

class Qwen35Renderer {
 public:
  Qwen35Renderer(const ChatInput& input, bool thinks_by_default)
      : input_(input), thinks_by_default_(thinks_by_default) {}

  RenderedChat render() {
    if (input_.messages.empty()) refuse_chat("No messages provided.");
    check_continuation(input_);
    head();
    find_last_query();
    for (std::size_t i = 0; i < input_.messages.size(); ++i) message(i);
    if (input_.options.add_generation_prompt) generation_prompt();
    return {prompt_.segments(), thinking_};
  }

 private:
  void own(std::string_view text) { prompt_.append(text, true); }
  void theirs(std::string_view text) { prompt_.append(text, input_.options.trust_message_text); }

  // 1. Not yet trimmed.
  PromptText content_of(const ChatMessage& message, bool count_vision, bool in_head) {
    PromptText content;
    for (const ContentPart& part : message.content) {
      if (part.kind == ContentPart::Kind::kText) {
        content.append(part.text, input_.options.trust_message_text);
        continue;
      }
      const bool image = part.kind == ContentPart::Kind::kImage;
      if (in_head)
        refuse_chat(image ? "System message cannot contain images." : "System message cannot contain videos.");
      int& count = image ? images_ : videos_;
      if (count_vision) ++count;
      if (input_.options.add_vision_id)
        content.append((image ? "Picture " : "Video ") + std::to_string(count) + ": ", true);
      content.append(
          image ? "<|vision_start|><|image_pad|><|vision_end|>" : "<|vision_start|><|video_pad|><|vision_end|>", true);
    }
    return content;
  }

  static PromptText trimmed(const PromptText& text) { return text.slice(python_strip(text.text())); }

  // 2.
  void head() {
    const bool has_system = input_.messages[0].role == "system";
    PromptText system;
    if (has_system) system = trimmed(content_of(input_.messages[0], false, true));
    if (input_.tools.empty() && !has_system) return;
    own("<|im_start|>system\n");
    if (!input_.tools.empty()) {
      own("# Tools\n\nYou have access to the following functions:\n\n<tools>");
      for (const std::string& line : input_.tools.lines()) {
        own("\n");
        theirs(line);
      }
      own("\n</tools>");
      own(kCallInstructions);
      if (!system.empty()) own("\n\n");
    }
    prompt_.append(system);
    own("<|im_end|>\n");
  }

  // 4.
  void find_last_query() {
    for (std::size_t i = input_.messages.size(); i-- > 0;) {
      if (input_.messages[i].role != "user") continue;
      const PromptText content = content_of(input_.messages[i], false, false);
      const std::string_view text = python_strip(content.text());
      if (text.starts_with("<tool_response>") && text.ends_with("</tool_response>")) continue;
      last_query_ = i;
      return;
    }
    refuse_chat("No user query found in messages.");
  }

  void message(std::size_t i) {
    const ChatMessage& message = input_.messages[i];
    const PromptText content = trimmed(content_of(message, true, false));
    if (message.role == "system") {
      if (i > 0) refuse_chat("System message must be at the beginning.");  // 3.
    } else if (message.role == "user") {
      own("<|im_start|>user\n");
      prompt_.append(content);
      own("<|im_end|>\n");
    } else if (message.role == "assistant") {
      assistant(i, content);
    } else if (message.role == "tool") {
      append_tool_message(input_, i, content, prompt_);
    } else {
      refuse_role(input_, i);
    }
  }

  // 6.
  void assistant(std::size_t i, PromptText content) {
    const ChatMessage& message = input_.messages[i];
    PromptText reasoning;
    if (message.reasoning) {
      reasoning.append(*message.reasoning, input_.options.trust_message_text);
    } else {
      split_reasoning(content, reasoning);
    }
    reasoning = trimmed(reasoning);
    own("<|im_start|>assistant\n");
    const bool open_end = input_.options.continue_final_message && is_last(input_, i);
    if (i > last_query_) {
      own("<think>\n");
      prompt_.append(reasoning);
      if (open_end && content.empty() && !reasoning.empty()) {  // the thought itself goes on
        thinking_ = true;
        return;
      }
      own("\n</think>\n\n");
    }
    prompt_.append(content);
    if (open_end) return;
    for (std::size_t call = 0; call < message.tool_calls.size(); ++call) tool_call(i, call, content);
    own("<|im_end|>\n");
  }

  // Moves reasoning that stands inside the content out of it.
  static void split_reasoning(PromptText& content, PromptText& reasoning) {
    const std::string_view text = content.text();
    const std::size_t first_end = text.find(kEndThink);
    if (first_end == std::string_view::npos) return;
    std::string_view before = rstrip_newlines(text.substr(0, first_end));
    if (const std::size_t start = before.rfind("<think>"); start != std::string_view::npos)
      before.remove_prefix(start + 7);
    reasoning = content.slice(lstrip_newlines(before));
    content = content.slice(lstrip_newlines(text.substr(text.rfind(kEndThink) + kEndThink.size())));
  }

  // 7.
  void tool_call(std::size_t i, std::size_t call, const PromptText& content) {
    if (call > 0) {
      own("\n");
    } else if (!python_strip(content.text()).empty()) {
      own("\n\n");
    }
    own("<tool_call>\n<function=");
    theirs(input_.messages[i].tool_calls[call].name);
    own(">\n");
    const nlohmann::ordered_json arguments = parse_arguments(input_, i, call);
    for (const auto& [key, value] : arguments.items()) {
      own("<parameter=");
      theirs(key);
      own(">\n");
      theirs(python_str(value));
      own("\n</parameter>\n");
    }
    own("</function>\n</tool_call>");
  }

  // 9.
  void generation_prompt() {
    thinking_ = input_.options.enable_thinking.value_or(thinks_by_default_);
    own("<|im_start|>assistant\n");
    own(thinking_ ? "<think>\n" : "<think>\n\n</think>\n\n");
  }

  const ChatInput& input_;
  const bool thinks_by_default_;
  PromptText prompt_;
  std::size_t last_query_ = 0;
  int images_ = 0, videos_ = 0;
  bool thinking_ = false;
};

}  // namespace

RenderedChat render_qwen35(const ChatInput& input, bool thinks_by_default) {
  return Qwen35Renderer(input, thinks_by_default).render();
}

}  // namespace millrace::engine
