#include "agent/answer_json.h"

namespace millrace::agent {
namespace {

Json token_json(const TokenText& token) {
  Json bytes = Json::array();
  for (const char c : token.bytes) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", token.text}, {"logprob", token.logprob}, {"bytes", std::move(bytes)}};
}

Json logprobs_json(const ChoiceDelta& delta) {
  if (delta.logprobs.empty()) return nullptr;
  Json content = Json::array();
  for (const TokenLogprobText& entry : delta.logprobs) {
    Json item = token_json(entry.token);
    Json top = Json::array();
    for (const TokenText& other : entry.top) top.push_back(token_json(other));
    item["top_logprobs"] = std::move(top);
    content.push_back(std::move(item));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

// Both names are in use for the same text: OpenAI-compatible servers are split between them.
void add_reasoning(Json& message, const Json& reasoning) {
  message["reasoning"] = reasoning;
  message["reasoning_content"] = reasoning;
}

Json delta_json(const ChoiceDelta& delta) {
  Json json = Json::object();
  if (!delta.reasoning.empty()) add_reasoning(json, delta.reasoning);
  if (!delta.content.empty()) json["content"] = delta.content;
  if (delta.tool_calls.empty()) return json;
  Json& calls = json["tool_calls"] = Json::array();
  for (const ToolCallDelta& call : delta.tool_calls) {
    Json item = {{"index", call.index}};
    Json function = Json::object();
    if (!call.name.empty()) {
      item["id"] = call.id;
      item["type"] = "function";
      function["name"] = call.name;
    }
    function["arguments"] = call.arguments;
    item["function"] = std::move(function);
    calls.push_back(std::move(item));
  }
  return json;
}

Json message_json(const ChoiceDelta& delta) {
  Json message = {{"role", "assistant"}};
  const bool says_nothing = delta.content.empty() && (!delta.tool_calls.empty() || !delta.reasoning.empty());
  message["content"] = says_nothing ? Json(nullptr) : Json(delta.content);
  message["refusal"] = nullptr;
  add_reasoning(message, delta.reasoning.empty() ? Json(nullptr) : Json(delta.reasoning));
  if (delta.tool_calls.empty()) return message;
  Json& calls = message["tool_calls"] = Json::array();
  for (const ToolCallDelta& call : delta.tool_calls) {
    calls.push_back(
        {{"id", call.id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  return message;
}

class ChatFormat : public ResponseFormat {
 public:
  explicit ChatFormat(AnswerHead head) : head_(std::move(head)) {}

  std::string opening(int choice) override {
    return event({{"index", choice},
                  {"delta", {{"role", "assistant"}, {"content", ""}}},
                  {"logprobs", nullptr},
                  {"finish_reason", nullptr}},
                 nullptr);
  }

  std::string chunk(int choice, const ChoiceDelta& delta, const Usage* usage) override {
    Json json = {{"index", choice},
                 {"delta", delta_json(delta)},
                 {"logprobs", logprobs_json(delta)},
                 {"finish_reason", finish_reason_json(delta)}};
    if (delta.finish_reason) json["stop_reason"] = stop_reason_json(delta);
    if (!delta.token_ids.empty()) json["token_ids"] = delta.token_ids;
    return event(json, usage);
  }

  std::string usage_chunk(const Usage& usage) override {
    Json json = answer_head(head_, "chat.completion.chunk");
    json["choices"] = Json::array();
    json["usage"] = usage_json(usage);
    return dump(json);
  }

  std::string whole(const std::vector<ChoiceDelta>& choices, const Usage& usage) override {
    Json json = answer_head(head_, "chat.completion");
    Json& list = json["choices"] = Json::array();
    for (std::size_t i = 0; i < choices.size(); ++i) {
      Json choice = {{"index", i},
                     {"message", message_json(choices[i])},
                     {"logprobs", logprobs_json(choices[i])},
                     {"finish_reason", finish_reason_json(choices[i])},
                     {"stop_reason", stop_reason_json(choices[i])}};
      if (!choices[i].token_ids.empty()) choice["token_ids"] = choices[i].token_ids;
      list.push_back(std::move(choice));
    }
    json["usage"] = usage_json(usage);
    return dump(json);
  }

 private:
  std::string event(Json choice, const Usage* usage) const {
    Json json = answer_head(head_, "chat.completion.chunk");
    json["choices"] = Json::array({std::move(choice)});
    if (head_.include_usage) json["usage"] = usage != nullptr ? usage_json(*usage) : Json(nullptr);
    return dump(json);
  }

  AnswerHead head_;
};

}  // namespace

std::unique_ptr<ResponseFormat> make_chat_format(AnswerHead head) {
  return std::make_unique<ChatFormat>(std::move(head));
}

}  // namespace millrace::agent
