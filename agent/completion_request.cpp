#include "agent/completion_request.h"

#include <limits>

namespace millrace::agent {
namespace {

constexpr std::int64_t kDefaultMaxTokens = 16;
constexpr std::int64_t kMaxLogprobs = 5;
const char* const kPromptForms = "a string, an array of strings, an array of token ids, or an array of those arrays";

std::vector<engine::TokenId> read_ids(const Json& array, const std::string& param, const ModelLimits& limits) {
  std::vector<engine::TokenId> ids;
  ids.reserve(array.size());
  for (const Json& item : array) {
    const auto id = integer_value(item, param + "[" + std::to_string(ids.size()) + "]", 0, limits.vocab - 1);
    ids.push_back(static_cast<engine::TokenId>(id));
  }
  return ids;
}

PromptInput read_prompt(const Json& item, const std::string& param, const ModelLimits& limits) {
  if (item.is_string()) return item.get<std::string>();
  if (item.is_array() && !item.empty() && item.front().is_number()) return read_ids(item, param, limits);
  throw wrong_value(param, item, kPromptForms);
}

std::vector<PromptInput> read_prompts(const RequestFields& fields, const ModelLimits& limits) {
  const Json* value = fields.find("prompt");
  if (value == nullptr) {
    throw bad_request("prompt", std::string("prompt is missing; expected ") + kPromptForms,
                      "missing_required_parameter");
  }
  const bool many = value->is_array() && !value->empty() && !value->front().is_number();
  if (!many) return {read_prompt(*value, "prompt", limits)};
  if (value->size() > static_cast<std::size_t>(kMaxChoices)) {
    throw fields.wrong("prompt", *value, "at most " + std::to_string(kMaxChoices) + " prompts");
  }
  std::vector<PromptInput> prompts;
  for (const Json& item : *value) prompts.push_back(read_prompt(item, fields.param("prompt", prompts.size()), limits));
  return prompts;
}

}  // namespace

CompletionRequest parse_completion_request(const Json& body, const ModelLimits& limits) {
  const RequestFields fields(body, "");
  CompletionRequest request;
  request.generation = parse_generation_fields(fields, limits);
  request.prompts = read_prompts(fields, limits);
  if (static_cast<std::int64_t>(request.prompts.size()) * request.generation.n > kMaxChoices) {
    throw bad_request("n",
                      "n times the number of prompts is above " + std::to_string(kMaxChoices) + ", the most accepted");
  }
  request.generation.max_tokens =
      fields.integer("max_tokens", 1, std::numeric_limits<std::int32_t>::max()).value_or(kDefaultMaxTokens);
  if (const auto top = fields.integer("logprobs", 0, kMaxLogprobs)) {
    request.generation.params.logprobs = static_cast<std::int32_t>(*top);
  }
  request.echo = fields.flag("echo").value_or(false);
  if (request.echo && request.generation.params.logprobs >= 0) {
    throw bad_request("echo", "echo with logprobs needs log-probabilities of the prompt; use one of the two",
                      "unsupported_parameter");
  }
  request.generation.unknown_fields = fields.unread();
  return request;
}

}  // namespace millrace::agent
