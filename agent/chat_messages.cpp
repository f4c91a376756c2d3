#include "agent/chat_messages.h"

#include <array>

namespace millrace::agent {
namespace {

constexpr std::size_t kMaxParts = 1024;
constexpr std::size_t kMaxToolCalls = 256;

std::string read_role(const RequestFields& fields) {
  constexpr std::array<std::string_view, 4> kRoles = {"system", "user", "assistant", "tool"};
  std::string role = fields.required_text("role");
  if (role == "developer") return "system";
  for (const auto known : kRoles) {
    if (role == known) return role;
  }
  throw fields.wrong("role", role, "system, developer, user, assistant or tool");
}

engine::ContentPart read_part(const Json& json, const std::string& path) {
  const RequestFields part(json, path);
  const std::string type = part.text("type").value_or("text");
  if (type == "refusal") return {.kind = engine::ContentPart::Kind::kText, .text = part.required_text("refusal")};
  if (type != "text" && type != "input_text") {
    throw bad_request(part.param("type"),
                      part.param("type") + " is \"" + type.substr(0, 60) + "\"; this server accepts \"text\" only",
                      "unsupported_value");
  }
  return {.kind = engine::ContentPart::Kind::kText, .text = part.required_text("text")};
}

std::vector<engine::ContentPart> read_content(const RequestFields& fields) {
  std::vector<engine::ContentPart> parts;
  const Json* content = fields.find("content");
  if (content == nullptr) return parts;
  if (content->is_string()) {
    parts.push_back({.kind = engine::ContentPart::Kind::kText, .text = content->get<std::string>()});
    return parts;
  }
  if (!content->is_array() || content->size() > kMaxParts) {
    throw fields.wrong("content", *content, "a string or an array of at most " + std::to_string(kMaxParts) + " parts");
  }
  for (const Json& part : *content) parts.push_back(read_part(part, fields.param("content", parts.size())));
  return parts;
}

engine::ChatToolCall read_tool_call(const Json& json, const std::string& path) {
  const RequestFields call(json, path);
  const Json* function = call.object("function");
  if (function == nullptr) throw wrong_value(call.param("function"), nullptr, "an object with name and arguments");
  const RequestFields fields(*function, call.param("function"));
  engine::ChatToolCall result;
  result.id = call.text("id").value_or("");
  result.name = fields.required_text("name");
  const Json* arguments = fields.find("arguments");
  if (arguments == nullptr) return result;
  if (arguments->is_object()) {
    result.arguments = arguments->dump(-1, ' ', false, Json::error_handler_t::replace);
    return result;
  }
  const std::string text = fields.text("arguments").value_or("");
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return result;
  if (!Json::accept(text) || !Json::parse(text).is_object()) {
    throw fields.wrong("arguments", *arguments, "the JSON text of an object");
  }
  result.arguments = text;
  return result;
}

engine::ChatMessage read_message(const Json& json, const std::string& path) {
  const RequestFields fields(json, path);
  engine::ChatMessage message;
  message.role = read_role(fields);
  message.content = read_content(fields);
  message.name = fields.text("name").value_or("");
  message.tool_call_id = fields.text("tool_call_id").value_or("");
  if (message.role == "assistant") {
    message.reasoning = fields.text("reasoning_content");
    if (!message.reasoning) message.reasoning = fields.text("reasoning");
    if (const Json* calls = fields.array("tool_calls", kMaxToolCalls)) {
      for (const Json& call : *calls) {
        message.tool_calls.push_back(read_tool_call(call, fields.param("tool_calls", message.tool_calls.size())));
      }
    }
  } else if (message.content.empty() && fields.find("content") == nullptr) {
    throw bad_request(fields.param("content"),
                      fields.param("content") + " is missing; expected a string or an array of parts",
                      "missing_required_parameter");
  }
  return message;
}

}  // namespace

std::vector<engine::ChatMessage> parse_chat_messages(const RequestFields& fields) {
  std::vector<engine::ChatMessage> messages;
  for (const Json& message : fields.required_array("messages", kMaxMessages)) {
    messages.push_back(read_message(message, fields.param("messages", messages.size())));
  }
  return messages;
}

}  // namespace millrace::agent
