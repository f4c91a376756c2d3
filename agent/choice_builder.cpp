#include "agent/choice_builder.h"

#include <algorithm>
#include <iterator>

#include "engine/text/utf8.h"

namespace millrace::agent {
namespace {

void append_tool_call(std::vector<ToolCallDelta>& calls, ToolCallDelta next) {
  if (calls.empty() || calls.back().index != next.index) {
    calls.push_back(std::move(next));
  } else {
    calls.back().arguments += next.arguments;
  }
}

}  // namespace

void ChoiceDelta::append(ChoiceDelta next) {
  reasoning += next.reasoning;
  content += next.content;
  for (ToolCallDelta& call : next.tool_calls) append_tool_call(tool_calls, std::move(call));
  std::move(next.logprobs.begin(), next.logprobs.end(), std::back_inserter(logprobs));
  token_ids.insert(token_ids.end(), next.token_ids.begin(), next.token_ids.end());
  if (next.finish_reason) {
    finish_reason = std::move(next.finish_reason);
    stop_reason = std::move(next.stop_reason);
  }
}

ChoiceBuilder::ChoiceBuilder(const engine::Tokenizer& tokenizer, const engine::ToolSet& tools, ChoiceOptions options)
    : tokenizer_(tokenizer),
      options_(std::move(options)),
      detokenizer_(tokenizer, options_.skip_special_tokens),
      stops_(options_.stop, options_.include_stop_str_in_output) {
  if (options_.parser) parser_.emplace(tools, *options_.parser);
}

ChoiceDelta ChoiceBuilder::push(const engine::TokenEvent& event) {
  ChoiceDelta delta;
  if (finished_) return delta;
  const bool is_stop_token = event.finish == engine::FinishReason::kStop;
  std::string text = take_token(event, !is_stop_token || options_.include_stop_str_in_output, delta);
  if (event.finish) text += detokenizer_.flush();
  // Before the minimum of tokens nothing stops a choice, and nothing needs to be held back.
  if (completion_tokens_ >= options_.min_tokens) text = stops_.push(text);
  if (event.finish && !stops_.stopped()) text += stops_.flush();
  parse(text, delta);
  if (event.finish || stops_.stopped()) finish(event, delta);
  return delta;
}

std::string ChoiceBuilder::take_token(const engine::TokenEvent& event, bool shown, ChoiceDelta& delta) {
  if (!event.token) return {};
  ++completion_tokens_;
  if (parser_ && parser_->in_reasoning()) ++reasoning_tokens_;
  if (options_.return_token_ids) delta.token_ids.push_back(*event.token);
  if (!shown) return {};
  if (event.logprobs) {
    TokenLogprobText entry;
    entry.token = describe(*event.token, event.logprobs->logprob);
    for (const auto& [id, logprob] : event.logprobs->top) entry.top.push_back(describe(id, logprob));
    delta.logprobs.push_back(std::move(entry));
  }
  return detokenizer_.push(*event.token);
}

void ChoiceBuilder::parse(const std::string& text, ChoiceDelta& delta) {
  if (!parser_) {
    delta.content += text;
  } else if (!text.empty()) {
    add(parser_->feed(text), delta);
  }
}

void ChoiceBuilder::add(std::vector<engine::OutputDelta> pieces, ChoiceDelta& delta) {
  for (engine::OutputDelta& piece : pieces) {
    const bool wanted_call = options_.parallel_tool_calls || piece.tool_index == 0;
    switch (piece.kind) {
      case engine::OutputDelta::Kind::kReasoning:
        if (options_.include_reasoning) delta.reasoning += piece.text;
        break;
      case engine::OutputDelta::Kind::kContent:
        delta.content += piece.text;
        break;
      case engine::OutputDelta::Kind::kToolCallStart:
      case engine::OutputDelta::Kind::kToolCallArguments:
        if (!wanted_call) break;
        append_tool_call(delta.tool_calls, {.index = piece.tool_index,
                                            .id = std::move(piece.id),
                                            .name = std::move(piece.name),
                                            .arguments = std::move(piece.text)});
        break;
    }
  }
}

void ChoiceBuilder::finish(const engine::TokenEvent& event, ChoiceDelta& delta) {
  finished_ = true;
  if (parser_) add(parser_->finish(), delta);
  delta.finish_reason = finish_reason(event.finish);
  if (stops_.stopped()) {
    delta.stop_reason = *stops_.matched();
  } else if (event.finish == engine::FinishReason::kStop && event.token) {
    const auto& ids = options_.stop_token_ids;
    if (std::find(ids.begin(), ids.end(), *event.token) != ids.end()) delta.stop_reason = *event.token;
  }
}

std::string ChoiceBuilder::finish_reason(const std::optional<engine::FinishReason>& reason) const {
  const bool stopped = stops_.stopped() || reason == engine::FinishReason::kStop;
  if (!stopped) return reason == engine::FinishReason::kLength ? "length" : "abort";
  if (!parser_ || parser_->tool_calls() == 0) return "stop";
  // A call cut off in the middle cannot be executed; a client must not take it for one.
  return parser_->has_open_call() ? "length" : "tool_calls";
}

TokenText ChoiceBuilder::describe(engine::TokenId id, float logprob) const {
  const std::string bytes(tokenizer_.token_bytes(id));
  return {.text = engine::repair_utf8(bytes), .bytes = bytes, .logprob = logprob};
}

}  // namespace millrace::agent
