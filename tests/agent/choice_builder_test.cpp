#include "agent/choice_builder.h"

#include <gtest/gtest.h>

#include "tests/agent/api_fixture.h"

namespace millrace::agent {
namespace {

const engine::ToolSet kNoTools;

ChoiceDelta play(ChoiceBuilder& builder, const std::vector<engine::TokenEvent>& events) {
  ChoiceDelta whole;
  for (const auto& event : events) whole.append(builder.push(event));
  return whole;
}

std::vector<engine::TokenEvent> events_of(const std::string& text,
                                          engine::FinishReason reason = engine::FinishReason::kStop) {
  const auto& tokenizer = tiny_text().tokenizer;
  const auto stop = reason == engine::FinishReason::kStop ? tokenizer.token_to_id("<|im_end|>") : std::nullopt;
  return token_events(tokenizer.encode(text), reason, stop);
}

ChoiceOptions chat_options(bool thinking) {
  ChoiceOptions options;
  options.parser.emplace();
  options.parser->starts_in_reasoning = thinking;
  options.parser->parse_tool_calls = true;
  return options;
}

TEST(ChoiceBuilder, TheStopTokenCountsButIsNotText) {
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, {});
  const auto events = events_of("abc");
  const ChoiceDelta whole = play(builder, events);
  EXPECT_EQ(whole.content, "abc");
  EXPECT_EQ(whole.finish_reason, "stop");
  EXPECT_EQ(builder.completion_tokens(), static_cast<std::int64_t>(events.size()));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(whole.stop_reason)) << "the model's own stop token is no reason";
}

TEST(ChoiceBuilder, ARequestedStopTokenIsTheReason) {
  ChoiceOptions options;
  const auto stop = *tiny_text().tokenizer.token_to_id("<|im_end|>");
  options.stop_token_ids = {stop};
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, options);
  EXPECT_EQ(std::get<engine::TokenId>(play(builder, events_of("abc")).stop_reason), stop);
}

TEST(ChoiceBuilder, CutsAtAStopStringAndTellsToCancel) {
  ChoiceOptions options;
  options.stop = {"STOP"};
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, options);
  const ChoiceDelta whole = play(builder, events_of("before ST STOP after"));
  EXPECT_EQ(whole.content, "before ST ");
  EXPECT_EQ(whole.finish_reason, "stop");
  EXPECT_EQ(std::get<std::string>(whole.stop_reason), "STOP");
  EXPECT_TRUE(builder.stopped_by_text());
}

TEST(ChoiceBuilder, KeepsTheStopStringWhenAsked) {
  ChoiceOptions options;
  options.stop = {"STOP"};
  options.include_stop_str_in_output = true;
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, options);
  EXPECT_EQ(play(builder, events_of("before STOP after")).content, "before STOP");
}

TEST(ChoiceBuilder, StopStringsWaitForTheMinimumOfTokens) {
  ChoiceOptions options;
  options.stop = {"b"};
  options.min_tokens = 1000;
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, options);
  EXPECT_EQ(play(builder, events_of("a b c")).content, "a b c");
}

TEST(ChoiceBuilder, NeverShowsHalfACharacter) {
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, {});
  std::string text;
  for (const auto& event : events_of("é€😀")) {
    const std::string piece = builder.push(event).content;
    EXPECT_TRUE(engine::is_valid_utf8(piece));
    text += piece;
  }
  EXPECT_EQ(text, "é€😀");
}

TEST(ChoiceBuilder, SplitsReasoningFromContent) {
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, chat_options(true));
  const ChoiceDelta whole = play(builder, events_of("because\n</think>\n\n42"));
  EXPECT_EQ(whole.content, "42");
  EXPECT_NE(whole.reasoning.find("because"), std::string::npos);
  EXPECT_GT(builder.reasoning_tokens(), 0);
  EXPECT_LT(builder.reasoning_tokens(), builder.completion_tokens());
}

TEST(ChoiceBuilder, HidesReasoningThatNobodyWants) {
  ChoiceOptions options = chat_options(true);
  options.include_reasoning = false;
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, options);
  const ChoiceDelta whole = play(builder, events_of("because\n</think>\n\n42"));
  EXPECT_EQ(whole.reasoning, "");
  EXPECT_EQ(whole.content, "42");
}

const char* const kTwoCalls =
    "<tool_call>\n<function=f>\n<parameter=x>\n1\n</parameter>\n</function>\n</tool_call>\n"
    "<tool_call>\n<function=g>\n</function>\n</tool_call>";

TEST(ChoiceBuilder, ToolCallsFinishTheChoice) {
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, chat_options(false));
  const ChoiceDelta whole = play(builder, events_of(kTwoCalls));
  ASSERT_EQ(whole.tool_calls.size(), 2U);
  EXPECT_EQ(whole.tool_calls[0].name, "f");
  EXPECT_EQ(json::parse(whole.tool_calls[0].arguments), json({{"x", "1"}}));
  EXPECT_EQ(whole.tool_calls[1].name, "g");
  EXPECT_EQ(whole.finish_reason, "tool_calls");
}

TEST(ChoiceBuilder, OnlyTheFirstCallWithoutParallelToolCalls) {
  ChoiceOptions options = chat_options(false);
  options.parallel_tool_calls = false;
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, options);
  EXPECT_EQ(play(builder, events_of(kTwoCalls)).tool_calls.size(), 1U);
}

TEST(ChoiceBuilder, ACallThatWasCutOffIsNotFinished) {
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, chat_options(false));
  const auto events = events_of("<tool_call>\n<function=f>\n<parameter=x>\n1", engine::FinishReason::kLength);
  EXPECT_EQ(play(builder, events).finish_reason, "length");
}

TEST(ChoiceBuilder, LogprobsCarryTextAndBytes) {
  ChoiceBuilder builder(tiny_text().tokenizer, kNoTools, {});
  auto events = events_of("a");
  events[0].logprobs = engine::TokenLogprobs{.logprob = -0.5F, .top = {{*events[0].token, -0.5F}}};
  const ChoiceDelta whole = play(builder, events);
  ASSERT_EQ(whole.logprobs.size(), 1U);
  EXPECT_EQ(whole.logprobs[0].token.text, "a");
  EXPECT_EQ(whole.logprobs[0].token.bytes, "a");
  EXPECT_EQ(whole.logprobs[0].top.size(), 1U);
}

}  // namespace
}  // namespace millrace::agent
