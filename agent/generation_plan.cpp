#include "agent/generation_plan.h"

namespace millrace::agent {
namespace {

void check_length(std::size_t prompt_tokens, const ModelLimits& limits, const std::string& param) {
  if (prompt_tokens == 0) throw bad_request(param, param + " gives no tokens; expected at least one");
  const auto length = static_cast<std::int64_t>(prompt_tokens);
  if (length < limits.max_model_len) return;
  throw bad_request(param,
                    "the maximum context length is " + std::to_string(limits.max_model_len) +
                        " tokens for prompt and answer, but the prompt alone has " + std::to_string(length) +
                        "; shorten " + param,
                    "context_length_exceeded");
}

ChoiceOptions choice_options(const GenerationRequest& request) {
  ChoiceOptions options;
  options.stop = request.stop;
  options.include_stop_str_in_output = request.include_stop_str_in_output;
  options.skip_special_tokens = request.skip_special_tokens;
  options.min_tokens = request.params.min_tokens;
  options.stop_token_ids = request.params.stop_token_ids;
  options.return_token_ids = request.return_token_ids;
  return options;
}

// n choices of one prompt. The answer may use what the prompt leaves of the context; the engine ends there in any case.
void add_choices(GenerationPlan& plan, const std::vector<engine::TokenId>& prompt, const GenerationRequest& request,
                 const ChoiceOptions& options, const ModelLimits& limits) {
  plan.prompt_tokens += static_cast<std::int64_t>(prompt.size());
  engine::SamplingParams params = request.params;
  const std::int64_t room = limits.max_model_len - static_cast<std::int64_t>(prompt.size());
  params.max_tokens = std::min(request.max_tokens.value_or(room), room);
  params.min_tokens = std::min(params.min_tokens, params.max_tokens);
  for (std::int32_t i = 0; i < request.n; ++i) {
    plan.choices.push_back({.request = {.prompt = prompt, .params = params}, .options = options});
    if (params.seed) ++*params.seed;
  }
}

GenerationPlan start_plan(const GenerationRequest& request) {
  GenerationPlan plan;
  plan.n = request.n;
  plan.stream = request.stream;
  plan.include_usage = request.include_usage;
  plan.continuous_usage_stats = request.continuous_usage_stats;
  return plan;
}

AnswerHead answer_head(const GenerationRequest& request, const ModelLimits& limits, AnswerStamp stamp) {
  return {.id = std::move(stamp.id),
          .created = stamp.created,
          .model = limits.served_model_name,
          .include_usage = request.include_usage};
}

}  // namespace

ChatPrompt encode_chat(const ChatRequest& request, const ModelText& text) {
  try {
    const auto rendered = text.chat_template.render(request.messages, request.tools, request.options);
    return {.tokens = text.tokenizer.encode(rendered.segments), .thinking = rendered.thinking};
  } catch (const common::Error& error) {
    throw from_error(error, "messages");
  }
}

GenerationPlan plan_chat(ChatRequest request, const ModelText& text, const ModelLimits& limits, AnswerStamp stamp) {
  const ChatPrompt prompt = encode_chat(request, text);
  check_length(prompt.tokens.size(), limits, "messages");
  ChoiceOptions options = choice_options(request.generation);
  options.parallel_tool_calls = request.parallel_tool_calls;
  options.include_reasoning = request.include_reasoning;
  engine::OutputParserOptions& parser = options.parser.emplace();
  parser.format = text.chat_template.format();
  parser.parse_tool_calls = !request.tools.empty();
  parser.starts_in_reasoning = prompt.thinking;

  GenerationPlan plan = start_plan(request.generation);
  add_choices(plan, prompt.tokens, request.generation, options, limits);
  plan.tools = std::move(request.tools);
  plan.format = make_chat_format(answer_head(request.generation, limits, std::move(stamp)));
  return plan;
}

GenerationPlan plan_completion(CompletionRequest request, const ModelText& text, const ModelLimits& limits,
                               AnswerStamp stamp) {
  GenerationPlan plan = start_plan(request.generation);
  const ChoiceOptions options = choice_options(request.generation);
  std::vector<std::string> echo;
  for (PromptInput& input : request.prompts) {
    std::vector<engine::TokenId> tokens;
    if (auto* ids = std::get_if<std::vector<engine::TokenId>>(&input)) {
      tokens = std::move(*ids);
    } else {
      tokens = text.tokenizer.encode(std::get<std::string>(input));
    }
    check_length(tokens.size(), limits, "prompt");
    add_choices(plan, tokens, request.generation, options, limits);
    if (!request.echo) continue;
    const auto* given = std::get_if<std::string>(&input);
    const std::string shown = given != nullptr ? *given : text.tokenizer.decode(tokens);
    echo.insert(echo.end(), static_cast<std::size_t>(request.generation.n), shown);
  }
  plan.format = make_completion_format(answer_head(request.generation, limits, std::move(stamp)), std::move(echo));
  return plan;
}

}  // namespace millrace::agent
