// Renderings made by Jinja from the model's template; tests/golden/text/README.md says how.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/error.h"
#include "engine/text/chat_template.h"
#include "tests/engine/text/test_data.h"

namespace millrace::engine {
namespace {

using nlohmann::ordered_json;

// False for content that a request reader refuses before there is a ChatMessage.
bool read_content(const ordered_json& content, std::vector<ContentPart>& parts) {
  if (content.is_null()) return true;
  if (content.is_string()) {
    parts.push_back({ContentPart::Kind::kText, content.get<std::string>()});
    return true;
  }
  if (!content.is_array()) return false;
  for (const ordered_json& item : content) {
    const std::string type = item.value("type", "");
    if (item.contains("image") || item.contains("image_url") || type == "image") {
      parts.push_back({ContentPart::Kind::kImage, ""});
    } else if (item.contains("video") || type == "video") {
      parts.push_back({ContentPart::Kind::kVideo, ""});
    } else if (item.contains("text")) {
      parts.push_back({ContentPart::Kind::kText, item["text"].get<std::string>()});
    } else {
      return false;
    }
  }
  return true;
}

bool read_calls(const ordered_json& message, std::vector<ChatToolCall>& calls) {
  if (!message.contains("tool_calls")) return true;
  for (const ordered_json& entry : message["tool_calls"]) {
    const ordered_json& function = entry.contains("function") ? entry["function"] : entry;
    const ordered_json arguments = function.value("arguments", ordered_json::object());
    if (!arguments.is_object()) return false;
    calls.push_back({"", function["name"].get<std::string>(), arguments.dump()});
  }
  return true;
}

bool read_messages(const ordered_json& list, std::vector<ChatMessage>& messages) {
  for (const ordered_json& entry : list) {
    ChatMessage message;
    message.role = entry["role"].get<std::string>();
    if (!read_content(entry.value("content", ordered_json()), message.content)) return false;
    if (!read_calls(entry, message.tool_calls)) return false;
    if (entry.contains("reasoning_content") && entry["reasoning_content"].is_string()) {
      message.reasoning = entry["reasoning_content"].get<std::string>();
    }
    messages.push_back(std::move(message));
  }
  return true;
}

ChatOptions read_options(const ordered_json& options) {
  ChatOptions out;
  if (options.contains("enable_thinking") && options["enable_thinking"].is_boolean()) {
    out.enable_thinking = options["enable_thinking"].get<bool>();
  }
  out.add_generation_prompt = options.value("add_generation_prompt", true);
  out.add_vision_id = options.value("add_vision_id", false);
  return out;
}

void expect_rendering(ChatFormat format, const std::vector<ChatMessage>& messages, const ordered_json& c,
                      const ordered_json& expected) {
  const ToolSet tools = ToolSet::parse(c["tools"]);
  try {
    const RenderedChat chat = ChatTemplate(format).render(messages, tools, read_options(c["options"]));
    ASSERT_TRUE(expected.contains("text")) << "should be refused: " << expected["error"];
    EXPECT_EQ(chat.text(), expected["text"].get<std::string>());
    EXPECT_EQ(chat.thinking, chat.text().ends_with("<think>\n"));
  } catch (const common::Error& e) {
    ASSERT_TRUE(expected.contains("error")) << e.what();
    EXPECT_EQ(e.code(), common::Code::kInvalidArgument);
    EXPECT_TRUE(std::string(e.what()).starts_with(expected["error"].get<std::string>())) << e.what();
  }
}

TEST(GoldenChat, RendersAsJinjaDoes) {
  const std::filesystem::path golden = golden_text_dir() / "chat.json";
  if (!std::filesystem::exists(golden)) GTEST_SKIP() << "no " << golden;
  int compared = 0;
  for (const ordered_json& c : ordered_json::parse(read_file(golden))) {
    SCOPED_TRACE(c["name"].get<std::string>());
    std::vector<ChatMessage> messages;
    if (!read_messages(c["messages"], messages)) {
      EXPECT_TRUE(c["on"].contains("error"));
      continue;
    }
    expect_rendering(ChatFormat::kThinkingOn, messages, c, c["on"]);
    expect_rendering(ChatFormat::kThinkingOff, messages, c, c["off"]);
    ++compared;
  }
  EXPECT_GE(compared, 40);
}

}  // namespace
}  // namespace millrace::engine
