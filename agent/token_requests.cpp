#include "agent/token_requests.h"

#include "agent/generation_plan.h"

namespace millrace::agent {
namespace {

constexpr std::size_t kMaxTokensToDecode = 4'000'000;

std::vector<engine::TokenId> encode(const RequestFields& fields, const ModelText& text) {
  if (const auto prompt = fields.text("prompt")) return text.tokenizer.encode(*prompt);
  if (fields.find("messages") == nullptr) {
    throw bad_request("prompt", "prompt and messages are missing; expected one of them", "missing_required_parameter");
  }
  ChatRequest request;
  parse_chat_rendering(fields, request);
  return encode_chat(request, text).tokens;
}

}  // namespace

Json answer_tokenize(const Json& body, const ModelText& text, const ModelLimits& limits) {
  const RequestFields fields(body, "");
  check_model_name(fields, limits);
  const bool with_strings = fields.flag("return_token_strs").value_or(false);
  const std::vector<engine::TokenId> tokens = encode(fields, text);
  Json answer = {{"count", tokens.size()}, {"max_model_len", limits.max_model_len}, {"tokens", tokens}};
  Json& strings = answer["token_strs"] = nullptr;
  if (with_strings) {
    strings = Json::array();
    for (const engine::TokenId id : tokens) strings.push_back(text.tokenizer.id_to_token(id));
  }
  return answer;
}

Json answer_detokenize(const Json& body, const ModelText& text, const ModelLimits& limits) {
  const RequestFields fields(body, "");
  check_model_name(fields, limits);
  const Json* list = fields.array("tokens", kMaxTokensToDecode);
  if (list == nullptr) {
    throw bad_request("tokens", "tokens is missing; expected an array of token ids", "missing_required_parameter");
  }
  std::vector<engine::TokenId> tokens;
  for (const Json& item : *list) {
    const auto id = integer_value(item, fields.param("tokens", tokens.size()), 0, text.tokenizer.size() - 1);
    tokens.push_back(static_cast<engine::TokenId>(id));
  }
  return {{"prompt", text.tokenizer.decode(tokens, false)}};
}

}  // namespace millrace::agent
