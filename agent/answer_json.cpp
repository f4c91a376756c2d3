#include "agent/answer_json.h"

namespace millrace::agent {

Json answer_head(const AnswerHead& head, const char* object) {
  return {{"id", head.id}, {"object", object}, {"created", head.created}, {"model", head.model}};
}

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", 0}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

Json finish_reason_json(const ChoiceDelta& delta) {
  return delta.finish_reason ? Json(*delta.finish_reason) : Json(nullptr);
}

Json stop_reason_json(const ChoiceDelta& delta) {
  if (const auto* text = std::get_if<std::string>(&delta.stop_reason)) return *text;
  if (const auto* id = std::get_if<engine::TokenId>(&delta.stop_reason)) return *id;
  return nullptr;
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

common::HttpResponse json_response(const Json& json) {
  common::HttpResponse response;
  response.body = dump(json);
  return response;
}

}  // namespace millrace::agent
