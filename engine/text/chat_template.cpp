#include "engine/text/chat_template.h"

#include <openssl/evp.h>

#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/file.h"
#include "engine/text/chat_renderer.h"

namespace millrace::engine {
namespace {

constexpr char kAccepted[] =
    "accepted: the templates of Qwen3.5 (thinking on or off by default) and of QwQ-32B, or no template and a "
    "model_type of "
    "qwen3_5, qwen3_5_moe or qwen2";

std::string sha256_hex(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha256(), nullptr) != 1) {
    throw common::Error(common::Code::kInternal, "SHA-256 is not available");
  }
  std::string hex;
  for (unsigned i = 0; i < length; ++i) {
    hex += "0123456789abcdef"[digest[i] >> 4];
    hex += "0123456789abcdef"[digest[i] & 15];
  }
  return hex;
}

struct OfficialTemplate {
  std::string_view sha256;
  ChatFormat format;
};

constexpr OfficialTemplate kOfficialTemplates[] = {
    {"a4aee8afcf2e0711942cf848899be66016f8d14a889ff9ede07bca099c28f715", ChatFormat::kThinkingOn},
    {"273d8e0e683b885071fb17e08d71e5f2a5ddfb5309756181681de4f5a1822d80", ChatFormat::kThinkingOff},
};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string read_if_present(const std::filesystem::path& path) {
  return common::read_file_if_present(path, "chat template").value_or("");
}

// chat_template is a text, or a list of named ones of which "default" counts.
std::string template_of_config(const std::filesystem::path& path) {
  const nlohmann::json config = nlohmann::json::parse(read_if_present(path), nullptr, false);
  if (!config.is_object() || !config.contains("chat_template")) return {};
  const nlohmann::json& value = config["chat_template"];
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return {};
  for (const nlohmann::json& entry : value) {
    if (!entry.is_object() || !entry.contains("name") || entry["name"] != "default") continue;
    if (entry.contains("template") && entry["template"].is_string()) return entry["template"].get<std::string>();
  }
  return {};
}

std::optional<ChatFormat> default_format(std::string_view model_type) {
  if (model_type.starts_with("qwen3_5")) return ChatFormat::kThinkingOn;
  if (model_type == "qwen2") return ChatFormat::kQwq;
  return std::nullopt;
}

}  // namespace

ChatMessage text_message(std::string role, std::string text) {
  ChatMessage message;
  message.role = std::move(role);
  message.content.push_back({ContentPart::Kind::kText, std::move(text)});
  return message;
}

std::string RenderedChat::text() const {
  std::string out;
  for (const TextSegment& segment : segments) out += segment.text;
  return out;
}

std::optional<ChatFormat> ChatTemplate::recognise(std::string_view jinja) {
  const std::string hash = sha256_hex(jinja);
  for (const OfficialTemplate& official : kOfficialTemplates) {
    if (official.sha256 == hash) return official.format;
  }
  const std::string_view ending = jinja.substr(std::min(jinja.rfind("add_generation_prompt"), jinja.size()));
  if (contains(jinja, "<function=example_function_name>") && contains(jinja, "No user query found in messages.")) {
    if (contains(ending, "enable_thinking is false")) return ChatFormat::kThinkingOn;
    if (contains(ending, "enable_thinking is true")) return ChatFormat::kThinkingOff;
  }
  const bool json_calls = contains(jinja, "<function-name>") && contains(jinja, "<args-json-object>");
  const bool always_thinks = contains(ending, "<think>") && !contains(jinja, "enable_thinking");
  if (json_calls && always_thinks && !contains(jinja, "reasoning_content")) return ChatFormat::kQwq;
  return std::nullopt;
}

ChatTemplate ChatTemplate::load(const std::filesystem::path& model_dir, std::string_view model_type) {
  std::string source = "chat_template.jinja";
  std::string jinja = read_if_present(model_dir / source);
  if (jinja.empty()) {
    source = "tokenizer_config.json: chat_template";
    jinja = template_of_config(model_dir / "tokenizer_config.json");
  }
  const std::optional<ChatFormat> format = jinja.empty() ? default_format(model_type) : recognise(jinja);
  if (format) return ChatTemplate(*format);
  const std::string what = jinja.empty() ? "no chat template, and model_type is \"" + std::string(model_type) + "\""
                                         : source + " is not a template this engine renders";
  throw common::Error(common::Code::kInvalidArgument, model_dir.string() + ": " + what + "; " + kAccepted);
}

void ChatTemplate::require_tokens(const Tokenizer& tokenizer) const {
  for (const char* token : {"<|im_start|>", "<|im_end|>"}) {
    if (tokenizer.token_to_id(token)) continue;
    throw common::Error(common::Code::kInvalidArgument,
                        std::string("tokenizer.json: added_tokens has no ") + token + ", which the chat format needs");
  }
}

RenderedChat ChatTemplate::render(const std::vector<ChatMessage>& messages, const ToolSet& tools,
                                  const ChatOptions& options) const {
  const ChatInput input{messages, tools, options};
  if (format_ == ChatFormat::kQwq) return render_qwq(input);
  return render_qwen35(input, format_ == ChatFormat::kThinkingOn);
}

}  // namespace millrace::engine
