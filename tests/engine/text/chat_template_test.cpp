#include "engine/text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "tests/engine/text/test_data.h"
#include "tests/engine/text/vocabulary_builder.h"

namespace millrace::engine {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

std::string sha256(const std::string& text) {
  unsigned char digest[32];
  EVP_Digest(text.data(), text.size(), digest, nullptr, EVP_sha256(), nullptr);
  std::string hex;
  for (const unsigned char byte : digest) {
    char two[3];
    std::snprintf(two, sizeof(two), "%02x", byte);
    hex += two;
  }
  return hex;
}

std::string render(ChatFormat format, const std::vector<ChatMessage>& messages, const std::string& tools = "null",
                   const ChatOptions& options = {}) {
  return ChatTemplate(format).render(messages, ToolSet::parse(ordered_json::parse(tools)), options).text();
}

ChatMessage with_call(std::string content, std::string name, std::string arguments) {
  ChatMessage message = text_message("assistant", std::move(content));
  message.tool_calls.push_back({"call_1", std::move(name), std::move(arguments)});
  return message;
}

std::string error_of(ChatFormat format, const std::vector<ChatMessage>& messages, const ChatOptions& options = {}) {
  try {
    render(format, messages, "null", options);
    return "";
  } catch (const common::Error& e) {
    EXPECT_EQ(e.code(), common::Code::kInvalidArgument);
    return e.what();
  }
}

TEST(ChatTemplate, ToolInstructionsMatchTheGoldenHashes) {
  const std::string prompt = render(ChatFormat::kThinkingOn, {text_message("user", "q")}, R"([{"b": 1, "a": "é<"}])");
  EXPECT_EQ(prompt.size(), 997u);
  EXPECT_EQ(sha256(prompt), "764da98f478e5effb7a9b164b686b30b207db0d6d07586fce86bfd7665d4419b");
  const std::size_t begin = prompt.rfind("</tools>") + 8;
  const std::string instructions = prompt.substr(begin, prompt.find("<|im_end|>") - begin);
  EXPECT_EQ(instructions.size(), 817u);
  EXPECT_EQ(sha256(instructions), "c618bf70de036a3337fbf9cfaf7171d7b700d3e116d61b6f4a40511e1ab4e25b");
}

TEST(ChatTemplate, OnlyTheTemplatesOwnTextIsTrusted) {
  const std::vector<ChatMessage> messages = {text_message("system", "<|im_end|>s"), text_message("user", "<|im_end|>u"),
                                             with_call("<think>a", "<|im_start|>", R"({"</think>": "<tool_call>"})"),
                                             text_message("tool", "</tool_response>t")};
  const ToolSet tools = ToolSet::parse(ordered_json::parse(R"([{"name": "<|im_end|>"}])"));
  RenderedChat chat = ChatTemplate(ChatFormat::kThinkingOn).render(messages, tools, {});
  std::string own, theirs;
  for (const TextSegment& segment : chat.segments) (segment.trusted ? own : theirs) += segment.text + "\x01";
  EXPECT_EQ(
      theirs,
      "{\"name\": \"<|im_end|>\"}\x01<|im_end|>s\x01<|im_end|>u\x01<think>a\x01<|im_start|>\x01</think>\x01<tool_call>"
      "\x01</tool_response>t\x01");
  EXPECT_EQ(chat.text(), render(ChatFormat::kThinkingOn, messages, R"([{"name": "<|im_end|>"}])"));

  const Tokenizer tokenizer = family_vocabulary().build();
  const std::vector<TokenId> ids = tokenizer.encode(chat.segments);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *tokenizer.token_to_id("<|im_end|>")), 4);
  ChatOptions trusting;
  trusting.trust_message_text = true;
  chat = ChatTemplate(ChatFormat::kThinkingOn).render(messages, tools, trusting);
  EXPECT_EQ(chat.segments.size(), 1u);
  EXPECT_EQ(tokenizer.encode(chat.segments), tokenizer.encode(chat.text()));
}

TEST(ChatTemplate, ImageMarkersAreTrustedInsideUntrustedContent) {
  ChatMessage message{
      "user", {{ContentPart::Kind::kText, " <|image_pad|>"}, {ContentPart::Kind::kImage, ""}}, {}, {}, "", ""};
  const RenderedChat chat = ChatTemplate(ChatFormat::kThinkingOn).render({message}, {}, {});
  const Tokenizer tokenizer = family_vocabulary().build();
  const std::vector<TokenId> ids = tokenizer.encode(chat.segments);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *tokenizer.token_to_id("<|image_pad|>")), 1);
  EXPECT_THAT(chat.text(), HasSubstr("user\n<|image_pad|><|vision_start|><|image_pad|><|vision_end|><|im_end|>"));
}

TEST(ChatTemplate, ThinkingSaysWhetherGenerationStartsInAThought) {
  const std::vector<ChatMessage> messages = {text_message("user", "q")};
  const auto thinks = [&](ChatFormat format, std::optional<bool> enable, bool prompt = true) {
    ChatOptions options;
    options.enable_thinking = enable;
    options.add_generation_prompt = prompt;
    return ChatTemplate(format).render(messages, {}, options).thinking;
  };
  EXPECT_TRUE(thinks(ChatFormat::kThinkingOn, std::nullopt));
  EXPECT_FALSE(thinks(ChatFormat::kThinkingOn, false));
  EXPECT_FALSE(thinks(ChatFormat::kThinkingOff, std::nullopt));
  EXPECT_TRUE(thinks(ChatFormat::kThinkingOff, true));
  EXPECT_TRUE(thinks(ChatFormat::kQwq, false));
  EXPECT_FALSE(thinks(ChatFormat::kThinkingOn, std::nullopt, false));
}

TEST(ChatTemplate, TheFinalMessageCanStayOpen) {
  ChatOptions options;
  options.add_generation_prompt = false;
  options.continue_final_message = true;
  const ChatMessage user = text_message("user", "q");
  EXPECT_EQ(render(ChatFormat::kThinkingOn, {user, text_message("assistant", "The answer ")}, "null", options),
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nThe answer");
  EXPECT_EQ(render(ChatFormat::kQwq, {user, text_message("assistant", "<think>\nhm ")}, "null", options),
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>\nhm ");
  ChatMessage thought{"assistant", {}, "so far", {}, "", ""};
  const RenderedChat chat = ChatTemplate(ChatFormat::kThinkingOn).render({user, thought}, {}, options);
  EXPECT_TRUE(chat.text().ends_with("<|im_start|>assistant\n<think>\nso far"));
  EXPECT_TRUE(chat.thinking);

  EXPECT_THAT(error_of(ChatFormat::kThinkingOn, {user}, options), HasSubstr("needs an assistant message"));
  options.add_generation_prompt = true;
  EXPECT_THAT(error_of(ChatFormat::kThinkingOn, {user, text_message("assistant", "a")}, options), HasSubstr("exclude"));
}

TEST(ChatTemplate, ArgumentsMustBeAnObject) {
  const ChatMessage user = text_message("user", "q");
  EXPECT_THAT(error_of(ChatFormat::kThinkingOn, {user, with_call("", "f", "[1]")}),
              HasSubstr("messages[1].tool_calls[0].function.arguments is not a JSON object: [1]"));
  EXPECT_THAT(error_of(ChatFormat::kQwq, {user, with_call("", "f", "{")}), HasSubstr("not a JSON object"));
  EXPECT_EQ(error_of(ChatFormat::kThinkingOn, {user, with_call("", "f", "")}), "");
}

TEST(ChatTemplate, AnUnknownRoleIsNamed) {
  EXPECT_EQ(error_of(ChatFormat::kThinkingOn, {text_message("user", "q"), text_message("developer", "x")}),
            "Unexpected message role. messages[1].role is \"developer\"; accepted: system, user, assistant, tool");
}

TEST(ChatTemplate, QwqRendersToolsAndCallsAsJson) {
  const std::vector<ChatMessage> messages = {
      text_message("user", "q"),
      with_call("<think>\nhm\n</think>\n\nLet me see.", "f", R"({"a":1.50,"b":["é",true]})"),
      text_message("tool", "ok"),
      text_message("tool", "ok2"),
      text_message("assistant", "<think>x</think>\n\ndone"),
      text_message("user", "thanks")};
  EXPECT_EQ(
      render(ChatFormat::kQwq, messages, R"([{"type":"function","function":{"name":"f"}}])"),
      "<|im_start|>system\n\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
      "provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
      "{\"type\": \"function\", \"function\": {\"name\": \"f\"}}\n</tools>\n\nFor each function call, return a json "
      "object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n"
      "{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n"
      "<|im_start|>user\nq<|im_end|>\n"
      "<|im_start|>assistant\nLet me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1.5, \"b\": [\"é\", "
      "true]}}\n</tool_call><|im_end|>\n"
      "<|im_start|>user\n<tool_response>\nok\n</tool_response>\n<tool_response>\nok2\n</tool_response><|im_end|>\n"
      "<|im_start|>assistant\ndone<|im_end|>\n<|im_start|>user\nthanks<|im_end|>\n<|im_start|>assistant\n<think>\n");
}

TEST(ChatTemplate, QwqKeepsSystemAndTrimsNothing) {
  EXPECT_EQ(render(ChatFormat::kQwq, {text_message("system", " s "), text_message("user", " q\n")}),
            "<|im_start|>system\n s <|im_end|>\n<|im_start|>user\n q\n<|im_end|>\n<|im_start|>assistant\n<think>\n");
}

TEST(ChatTemplate, QwqRefusesImages) {
  const ChatMessage message{"user", {{ContentPart::Kind::kImage, ""}}, {}, {}, "", ""};
  EXPECT_THAT(error_of(ChatFormat::kQwq, {message}), HasSubstr("text only"));
}

TEST(ChatTemplate, RecognisesTheVariantsByTheirLastCondition) {
  const std::filesystem::path file = tiny_model_dir() / "chat_template.jinja";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no " << file;
  std::string jinja = read_file(file);
  EXPECT_EQ(ChatTemplate::recognise(jinja), ChatFormat::kThinkingOn);
  const std::size_t condition = jinja.rfind("enable_thinking is false");
  jinja.replace(condition, 24, "enable_thinking is true");
  EXPECT_EQ(ChatTemplate::recognise(jinja), ChatFormat::kThinkingOff);
  EXPECT_EQ(ChatTemplate::recognise("{{ messages[0].content }}"), std::nullopt);
  EXPECT_EQ(ChatTemplate::recognise(R"({"name": <function-name>, "arguments": <args-json-object>}
      {%- if add_generation_prompt %}{{- '<|im_start|>assistant\n<think>\n' }}{%- endif %})"),
            ChatFormat::kQwq);
  EXPECT_EQ(ChatTemplate::recognise(""), std::nullopt);
}

class ChatTemplateFolder : public testing::Test {
 protected:
  ChatTemplateFolder() {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(dir_ / name) << text; }
  std::string error(const std::string& model_type) {
    try {
      ChatTemplate::load(dir_, model_type);
      return "";
    } catch (const common::Error& e) {
      return e.what();
    }
  }
  const std::filesystem::path dir_ = std::filesystem::path(testing::TempDir()) / "millrace-chat-template";
};

TEST_F(ChatTemplateFolder, WithoutATemplateTheModelTypeDecides) {
  EXPECT_EQ(ChatTemplate::load(dir_, "qwen3_5_moe").format(), ChatFormat::kThinkingOn);
  EXPECT_EQ(ChatTemplate::load(dir_, "qwen2").format(), ChatFormat::kQwq);
  EXPECT_THAT(error("llama"), HasSubstr("model_type is \"llama\""));
}

TEST_F(ChatTemplateFolder, AForeignTemplateIsRefusedWithWhatIsAccepted) {
  write("tokenizer_config.json", R"({"chat_template": [{"name": "default", "template": "{{ x }}"}, {"name": 5}]})");
  EXPECT_THAT(error("qwen3_5"), HasSubstr("tokenizer_config.json: chat_template is not a template"));
  write("chat_template.jinja", "{{ y }}");
  EXPECT_THAT(error("qwen3_5"), HasSubstr("chat_template.jinja is not a template this engine renders; accepted:"));
}

TEST(ChatTemplate, ATokenizerWithoutTheTurnTokensIsRefused) {
  const ChatTemplate chat(ChatFormat::kThinkingOn);
  EXPECT_NO_THROW(chat.require_tokens(family_vocabulary().build()));
  EXPECT_THROW(chat.require_tokens(VocabularyBuilder().added("<|im_end|>", true).build()), common::Error);
}

}  // namespace
}  // namespace millrace::engine
