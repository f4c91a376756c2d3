// Conversation to prompt text, natively for the chat formats of the family (qwen3_5-io section 2); no Jinja engine.
//
// Trust: text written by users, tools, tool authors and earlier answers comes out as untrusted segments, which
// Tokenizer::encode never reads control tokens from. HF's apply_chat_template reads them, so ids differ from HF's
// exactly when a message contains the spelling of an added token; ChatOptions::trust_message_text gives HF's behaviour.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/tool_set.h"
#include "engine/tokenizer.h"

namespace millrace::engine {

struct ContentPart {
  enum class Kind { kText, kImage, kVideo };
  Kind kind = Kind::kText;
  std::string text;  // kText only
};

struct ChatToolCall {
  std::string id;
  std::string name;
  std::string arguments = "{}";  // JSON text of an object, as in the OpenAI API; empty means {}
};

struct ChatMessage {
  std::string role;                      // system, user, assistant or tool
  std::vector<ContentPart> content;      // empty: null content
  std::optional<std::string> reasoning;  // absent: looked for inside content
  std::vector<ChatToolCall> tool_calls;
  std::string tool_call_id;  // not shown to the model by these formats
  std::string name;          // likewise
};

// A message with one text part.
ChatMessage text_message(std::string role, std::string text);

struct ChatOptions {
  std::optional<bool> enable_thinking;  // absent: the format's default
  bool add_generation_prompt = true;
  bool add_vision_id = false;  // "Picture 1: " and "Video 1: " before the markers
  // The last message is an assistant message whose text is left open; excludes add_generation_prompt.
  bool continue_final_message = false;
  bool trust_message_text = false;
};

struct RenderedChat {
  std::vector<TextSegment> segments;
  bool thinking = false;  // generation starts inside a reasoning block
  std::string text() const;
};

enum class ChatFormat {
  kThinkingOn,   // Qwen3.5, thinks unless told not to: 4B and above
  kThinkingOff,  // Qwen3.5, thinks only when told to: 0.8B and 2B
  kQwq,          // QwQ-32B: ChatML, tool calls as JSON, always thinks
};

class ChatTemplate {
 public:
  // Takes chat_template.jinja of the folder, else chat_template of tokenizer_config.json, and recognises its format.
  // With neither, the format is the default of model_type (config.json): qwen3_5 and qwen3_5_moe think, qwen2 is QwQ.
  // Throws kInvalidArgument for a template of another format.
  static ChatTemplate load(const std::filesystem::path& model_dir, std::string_view model_type);

  // The format a template text describes: by the hash of an official file, else by the text that tells formats apart.
  static std::optional<ChatFormat> recognise(std::string_view jinja);

  // Throws kInvalidArgument if the tokenizer lacks a token without which the format cannot work.
  void require_tokens(const Tokenizer& tokenizer) const;

  explicit ChatTemplate(ChatFormat format) : format_(format) {}
  ChatFormat format() const { return format_; }

  // Throws kInvalidArgument for conversations the template refuses, in its words.
  RenderedChat render(const std::vector<ChatMessage>& messages, const ToolSet& tools, const ChatOptions& options) const;

 private:
  ChatFormat format_;
};

}  // namespace millrace::engine
