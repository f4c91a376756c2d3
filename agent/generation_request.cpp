#include "agent/generation_request.h"

#include <algorithm>
#include <limits>

#include "common/error.h"

namespace millrace::agent {
namespace {

constexpr std::size_t kMaxStopStrings = 16;
constexpr std::size_t kMaxStopBytes = 1024;
constexpr std::size_t kMaxListItems = 4096;  // stop_token_ids
constexpr std::int64_t kMaxTokens = std::numeric_limits<std::int32_t>::max();

void read_number(const RequestFields& fields, std::string_view key, NumberRange range, float& value) {
  const auto number = fields.number(key, range);
  if (!number) return;
  value = static_cast<float>(*number);
  // A tiny double must not round to the zero that the range excludes.
  if (range.above_min) value = std::max(value, std::numeric_limits<float>::min());
}

std::vector<std::string> read_stop(const RequestFields& fields) {
  const Json* value = fields.find("stop");
  if (value == nullptr) return {};
  const std::string expected = "a string or an array of at most " + std::to_string(kMaxStopStrings) +
                               " strings, each of 1 to " + std::to_string(kMaxStopBytes) + " bytes";
  const Json list = value->is_array() ? *value : Json::array({*value});
  if (list.size() > kMaxStopStrings) throw fields.wrong("stop", *value, expected);
  std::vector<std::string> stops;
  for (const Json& item : list) {
    if (!item.is_string()) throw fields.wrong("stop", *value, expected);
    auto text = item.get<std::string>();
    if (text.empty() || text.size() > kMaxStopBytes) throw fields.wrong("stop", item, expected);
    stops.push_back(std::move(text));
  }
  return stops;
}

std::vector<engine::TokenId> read_stop_token_ids(const RequestFields& fields, const ModelLimits& limits) {
  std::vector<engine::TokenId> ids;
  const Json* list = fields.array("stop_token_ids", kMaxListItems);
  if (list == nullptr) return ids;
  for (const Json& item : *list) {
    const auto id = integer_value(item, fields.param("stop_token_ids", ids.size()), 0, limits.vocab - 1);
    ids.push_back(static_cast<engine::TokenId>(id));
  }
  return ids;
}

std::vector<std::pair<engine::TokenId, float>> read_logit_bias(const RequestFields& fields, const ModelLimits& limits) {
  std::vector<std::pair<engine::TokenId, float>> biases;
  const Json* object = fields.object("logit_bias");
  if (object == nullptr) return biases;
  const RequestFields entries(*object, "logit_bias");
  for (const auto& [key, value] : object->items()) {
    const Json id = Json::parse(key, nullptr, false);
    const auto token = id.is_discarded() ? -1 : integer_value(id, "logit_bias", 0, limits.vocab - 1);
    if (token < 0) {
      throw bad_request("logit_bias", "logit_bias has the key \"" + key.substr(0, 60) +
                                          "\"; expected token ids below " + std::to_string(limits.vocab));
    }
    const auto bias = entries.number(key, {.min = -100, .max = 100});
    if (bias) biases.emplace_back(static_cast<engine::TokenId>(token), static_cast<float>(*bias));
  }
  return biases;
}

void read_stream_options(const RequestFields& fields, GenerationRequest& request) {
  const Json* object = fields.object("stream_options");
  if (object == nullptr) return;
  if (!request.stream) {
    throw bad_request("stream_options",
                      "stream_options is set, but stream is not true; it is accepted in streams only");
  }
  const RequestFields options(*object, "stream_options");
  request.include_usage = options.flag("include_usage").value_or(false);
  request.continuous_usage_stats = request.include_usage && options.flag("continuous_usage_stats").value_or(false);
}

engine::SamplingParams read_sampling(const RequestFields& fields, const ModelLimits& limits) {
  engine::SamplingParams params = limits.defaults;
  read_number(fields, "temperature", {.min = 0, .max = 100}, params.temperature);
  read_number(fields, "top_p", {.min = 0, .max = 1, .above_min = true}, params.top_p);
  read_number(fields, "min_p", {.min = 0, .max = 1}, params.min_p);
  read_number(fields, "presence_penalty", {.min = -2, .max = 2}, params.presence_penalty);
  read_number(fields, "frequency_penalty", {.min = -2, .max = 2}, params.frequency_penalty);
  read_number(fields, "repetition_penalty", {.min = 0, .max = 100, .above_min = true}, params.repetition_penalty);
  if (const auto top_k = fields.integer("top_k", -1, kMaxTokens)) params.top_k = static_cast<std::int32_t>(*top_k);
  if (const auto seed =
          fields.integer("seed", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max())) {
    params.seed = static_cast<std::uint64_t>(*seed);
  }
  params.min_tokens = fields.integer("min_tokens", 0, kMaxTokens).value_or(0);
  params.ignore_eos = fields.flag("ignore_eos").value_or(false);
  params.stop_token_ids = read_stop_token_ids(fields, limits);
  params.logit_bias = read_logit_bias(fields, limits);
  return params;
}

// A field with the values that ask for nothing special. Anything else is refused.
struct Unsupported {
  std::string_view key;
  std::string_view accepted;
  bool (*harmless)(const Json&);
};

bool never(const Json&) {
  return false;
}
bool is_false(const Json& value) {
  return value == false;
}
bool is_true(const Json& value) {
  return value == true;
}
bool is_empty(const Json& value) {
  return (value.is_array() || value.is_object() || value.is_string()) && value.empty();
}
bool is_at_most_one(const Json& value) {
  return value.is_number_integer() && value <= 1;
}
bool is_text_format(const Json& value) {
  return value.is_object() && value.size() == 1 && value.contains("type") && value["type"] == "text";
}
bool is_text_modality(const Json& value) {
  return value == Json::array({"text"});
}

constexpr Unsupported kUnsupported[] = {
    {"response_format", "{\"type\": \"text\"}", is_text_format},
    {"structured_outputs", "no structured output", never},
    {"guided_json", "no structured output", never},
    {"guided_regex", "no structured output", never},
    {"guided_choice", "no structured output", never},
    {"guided_grammar", "no structured output", never},
    {"functions", "the field tools instead", is_empty},
    {"function_call", "the field tool_choice instead", never},
    {"audio", "text only", never},
    {"modalities", "[\"text\"]", is_text_modality},
    {"prediction", "no predicted output", never},
    {"web_search_options", "no web search", never},
    {"prompt_logprobs", "no log-probabilities of the prompt", never},
    {"truncate_prompt_tokens", "prompts that fit the context", never},
    {"chat_template", "the model's own chat template", never},
    {"documents", "documents as part of the messages", is_empty},
    {"thinking_token_budget", "no budget; limit max_tokens or turn enable_thinking off", never},
    {"thinking_budget", "no budget; limit max_tokens or turn enable_thinking off", never},
    {"best_of", "n, without best_of", is_at_most_one},
    {"use_beam_search", "false", is_false},
    {"allowed_token_ids", "logit_bias instead", never},
    {"bad_words", "stop or logit_bias instead", is_empty},
    {"logits_processors", "no logits processors", is_empty},
    {"suffix", "no suffix: the model completes, it does not insert", is_empty},
    {"add_special_tokens", "no special tokens beyond the prompt's own", is_false},
    {"spaces_between_special_tokens", "true", is_true},
};

// They say who asks, how to store, bill, cache or rank: nothing that changes the answer here.
constexpr std::string_view kWithoutEffect[] = {"user",
                                               "metadata",
                                               "store",
                                               "service_tier",
                                               "safety_identifier",
                                               "prompt_cache_key",
                                               "prompt_cache_retention",
                                               "verbosity",
                                               "priority",
                                               "cache_salt",
                                               "request_id"};

}  // namespace

void refuse_unsupported_fields(const RequestFields& fields) {
  for (const std::string_view key : kWithoutEffect) fields.find(key);
  for (const Unsupported& entry : kUnsupported) {
    const Json* value = fields.find(entry.key);
    if (value == nullptr || entry.harmless(*value)) continue;
    throw bad_request(fields.param(entry.key),
                      fields.param(entry.key) + " is not supported as sent; accepted: " + std::string(entry.accepted),
                      "unsupported_parameter");
  }
}

void check_model_name(const RequestFields& fields, const ModelLimits& limits) {
  const auto model = fields.text("model");
  if (!model || *model == limits.served_model_name) return;
  throw not_found("the model \"" + model->substr(0, 200) + "\" does not exist; this server has \"" +
                      limits.served_model_name + "\"",
                  "model", "model_not_found");
}

GenerationRequest parse_generation_fields(const RequestFields& fields, const ModelLimits& limits) {
  check_model_name(fields, limits);
  refuse_unsupported_fields(fields);
  GenerationRequest request;
  request.stream = fields.flag("stream").value_or(false);
  read_stream_options(fields, request);
  request.params = read_sampling(fields, limits);
  request.n = static_cast<std::int32_t>(fields.integer("n", 1, kMaxChoices).value_or(1));
  if (request.n > 1 && request.params.temperature == 0.0F) {
    throw bad_request("n", "n is " + std::to_string(request.n) +
                               ", but temperature 0 gives equal answers; use n 1 or a temperature above 0");
  }
  request.stop = read_stop(fields);
  request.include_stop_str_in_output = fields.flag("include_stop_str_in_output").value_or(false);
  request.skip_special_tokens = fields.flag("skip_special_tokens").value_or(true);
  request.return_token_ids = fields.flag("return_token_ids").value_or(false);
  return request;
}

engine::SamplingParams default_sampling_params(const std::string& generation_config) {
  engine::SamplingParams params;
  if (generation_config.empty()) return params;
  try {
    const Json json = Json::parse(generation_config);
    const RequestFields fields(json, "");
    read_number(fields, "temperature", {.min = 0}, params.temperature);
    read_number(fields, "top_p", {.min = 0, .max = 1, .above_min = true}, params.top_p);
    read_number(fields, "min_p", {.min = 0, .max = 1}, params.min_p);
    read_number(fields, "repetition_penalty", {.min = 0, .above_min = true}, params.repetition_penalty);
    if (const auto top_k = fields.integer("top_k", -1, kMaxTokens)) params.top_k = static_cast<std::int32_t>(*top_k);
  } catch (const std::exception& error) {
    throw common::Error(common::Code::kInvalidArgument, std::string("generation_config.json: ") + error.what());
  }
  return params;
}

}  // namespace millrace::agent
