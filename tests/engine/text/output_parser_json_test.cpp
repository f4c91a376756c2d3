// The JSON tool-call syntax of QwQ.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/text/output_parser.h"

namespace millrace::engine {
namespace {

ParsedOutput parse_qwq(std::string_view text, bool starts_in_reasoning = false) {
  static const ToolSet kNoTools;
  OutputParserOptions options;
  options.format = ChatFormat::kQwq;
  options.parse_tool_calls = true;
  options.starts_in_reasoning = starts_in_reasoning;
  return parse_output(text, kNoTools, options);
}

TEST(OutputParserJson, ReadsCallsBehindReasoning) {
  const ParsedOutput out = parse_qwq(
      "hm\n</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"</tool_call> }\", \"n\": "
      "1.50}}\n</tool_call>\n"
      "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>",
      true);
  EXPECT_EQ(out.reasoning, "hm\n");
  EXPECT_EQ(out.content, "");
  ASSERT_EQ(out.tool_calls.size(), 2u);
  EXPECT_EQ(out.tool_calls[0].name, "f");
  EXPECT_EQ(out.tool_calls[0].arguments, "{\"a\": \"</tool_call> }\", \"n\": 1.50}") << "as the model wrote it";
  EXPECT_EQ(out.tool_calls[1].arguments, "{}");
}

TEST(OutputParserJson, AcceptsArgumentsAsAStringAndUnderTheOtherName) {
  EXPECT_EQ(parse_qwq(R"(<tool_call>{"name": "f", "arguments": "{\"a\":1}"}</tool_call>)").tool_calls.at(0).arguments,
            "{\"a\":1}");
  EXPECT_EQ(parse_qwq(R"(<tool_call>{"name": "f", "parameters": {"a": 1}}</tool_call>)").tool_calls.at(0).arguments,
            "{\"a\": 1}");
  EXPECT_EQ(parse_qwq(R"(<tool_call>{"name": "f"}</tool_call>)").tool_calls.at(0).arguments, "{}");
}

TEST(OutputParserJson, WhatIsNoCallIsContent) {
  EXPECT_EQ(parse_qwq("<tool_call>\nnothing").content, "<tool_call>\nnothing");
  EXPECT_EQ(parse_qwq("<tool_call>{\"nome\": 1}").content, "<tool_call>{\"nome\": 1}");
  EXPECT_EQ(parse_qwq("<tool_call>{\"name\": \"f\", ").content, "<tool_call>{\"name\": \"f\", ");
  EXPECT_TRUE(parse_qwq("<tool_call>{]").tool_calls.empty());
  EXPECT_EQ(parse_qwq("<tool_call>{] x </tool_call>").content, "<tool_call>{] x </tool_call>");
  EXPECT_EQ(parse_qwq("<tool_call>{\"name\": 5, \"arguments\": {}}").content,
            "<tool_call>{\"name\": 5, \"arguments\": {}}");
}

// All that one answer gives when it is fed in pieces of `step` bytes.
struct Stream {
  std::vector<OutputDelta> deltas;
  bool open = false;
};

Stream stream(std::string_view text, std::size_t step) {
  static const ToolSet kNoTools;
  OutputParserOptions options;
  options.format = ChatFormat::kQwq;
  options.parse_tool_calls = true;
  options.make_call_id = [] { return std::string("id"); };
  OutputParser parser(kNoTools, options);
  Stream result;
  const auto collect = [&result](std::vector<OutputDelta> deltas) {
    for (OutputDelta& delta : deltas) result.deltas.push_back(std::move(delta));
  };
  for (; !text.empty(); text.remove_prefix(std::min(step, text.size()))) collect(parser.feed(text.substr(0, step)));
  collect(parser.finish());
  result.open = parser.has_open_call();
  return result;
}

// By kind and call.
std::map<std::pair<int, int>, std::string> joined(const Stream& given) {
  std::map<std::pair<int, int>, std::string> all;
  for (const OutputDelta& delta : given.deltas) {
    all[{static_cast<int>(delta.kind), delta.tool_index}] += delta.name + delta.text;
  }
  return all;
}

TEST(OutputParserJson, StreamsArgumentsAsTheyAreWritten) {
  const std::string_view text = R"(<tool_call>
{"name": "f", "arguments": {"city": "Os\u006co", "n": [1, -2.5e3, true], "o": {"x": null}}}
</tool_call>)";
  const Stream bytes = stream(text, 1);
  std::size_t fragments = 0;
  std::string arguments;
  for (const OutputDelta& delta : bytes.deltas) {
    if (delta.kind != OutputDelta::Kind::kToolCallArguments) continue;
    ++fragments;
    arguments += delta.text;
  }
  EXPECT_EQ(bytes.deltas.front().kind, OutputDelta::Kind::kToolCallStart);
  EXPECT_EQ(bytes.deltas.front().name, "f");
  EXPECT_EQ(arguments, R"({"city": "Os\u006co", "n": [1, -2.5e3, true], "o": {"x": null}})");
  EXPECT_EQ(fragments, arguments.size()) << "nothing is held back";
  EXPECT_FALSE(bytes.open);
}

TEST(OutputParserJson, AnyCutOfTheTextGivesTheSame) {
  const std::string_view texts[] = {
      R"(a <tool_call>{"name": "f", "arguments": {"a": "}\"{"}}</tool_call> <tool_call>{"name":"g"}</tool_call> b)",
      R"(<tool_call>{"arguments": {"a": 1.50}, "name": "f"}</tool_call>)",
      R"(<tool_call>{"name": "f", "parameters": {}, "arguments": {"late": 1}, "id": [{}]}</tool_call>)",
      R"(<tool_call>{"name": "f", "arguments": "{\"a\":1}"}</tool_call>)",
      R"(<tool_call>{"name": "f", "arguments": {"a": 1,}} more <tool_call>{"name": "g", "arguments": {}}</tool_call>)",
      R"(<tool_call>{"name": "f", "arguments": {}] x)",
      R"(<tool_call>{"name": "f", "arguments": {"a": "\ud83d\ude00\ud83d"}}</tool_call>)",
      "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"line\nline\t\"}}</tool_call>",
      R"(<tool_call>{"name": "f", "arguments": {"a": 01}}</tool_call>)",
      R"(<tool_call>{"name": "f", "arguments": {"a": tru)",
      R"(<tool_call>{"name": "f", "arguments": {"a": 1})",
  };
  for (const std::string_view text : texts) {
    const Stream whole = stream(text, text.size());
    for (const std::size_t step : {1, 2, 3, 7}) {
      const Stream pieces = stream(text, step);
      EXPECT_EQ(joined(pieces), joined(whole)) << text;
      EXPECT_EQ(pieces.open, whole.open) << text;
    }
  }
}

TEST(OutputParserJson, ClosedCallsAreAlwaysJsonHoweverTheTextIsCut) {
  const std::vector<std::string> words = {"{",
                                          "}",
                                          "[",
                                          "]",
                                          ":",
                                          ", ",
                                          "\"a\"",
                                          "\"name\"",
                                          "\"f\"",
                                          "\"",
                                          "\\",
                                          "\\u00e9",
                                          "\\ud83d",
                                          "\\ude00",
                                          "1",
                                          "-",
                                          "1e999",
                                          "01",
                                          "true",
                                          "nul",
                                          "null",
                                          "\n",
                                          "\x01",
                                          "é",
                                          "{\"x\":",
                                          "[1, 2",
                                          "</tool_call>",
                                          "<tool_call>{\"name\": \"g\", \"arguments\": {"};
  std::mt19937 random(31);
  for (int round = 0; round < 20000; ++round) {
    std::string text = round % 4 == 0 ? "<tool_call>{" : "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"k\": ";
    const std::size_t length = random() % 12;
    for (std::size_t i = 0; i < length; ++i) text += words[random() % words.size()];
    if (random() % 2 == 0) text += "}}\n</tool_call>";
    const Stream whole = stream(text, text.size());
    ASSERT_EQ(joined(stream(text, 1)), joined(whole)) << text;
    ASSERT_EQ(joined(stream(text, 1 + random() % 9)), joined(whole)) << text;
    std::vector<std::string> calls;
    for (const OutputDelta& delta : whole.deltas) {
      if (delta.kind == OutputDelta::Kind::kToolCallStart) calls.emplace_back();
      if (delta.kind == OutputDelta::Kind::kToolCallArguments) calls.back() += delta.text;
    }
    if (whole.open) calls.pop_back();
    for (const std::string& arguments : calls) ASSERT_TRUE(nlohmann::json::accept(arguments)) << text;
  }
}

TEST(OutputParserJson, ControlCharactersInStringsAreEscaped) {
  const ParsedOutput out = parse_qwq("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"x\ny\"}}</tool_call>");
  EXPECT_EQ(out.tool_calls.at(0).arguments, "{\"a\": \"x\\ny\"}");
}

TEST(OutputParserJson, ArgumentsThatBreakOffLeaveTheCallOpen) {
  const ParsedOutput cut = parse_qwq(R"(<tool_call>{"name": "f", "arguments": {"a": "b)");
  EXPECT_TRUE(cut.has_open_call);
  EXPECT_EQ(cut.tool_calls.at(0).arguments, R"({"a": "b)");
  const ParsedOutput broken = parse_qwq(R"(<tool_call>{"name": "f", "arguments": {"a" 1}}</tool_call>)");
  EXPECT_TRUE(broken.has_open_call);
  EXPECT_EQ(broken.tool_calls.at(0).arguments, R"({"a" )");
  EXPECT_EQ(broken.content, "1}}</tool_call>") << "nothing of the answer is lost";
  EXPECT_FALSE(parse_qwq(R"(<tool_call>{"name": "f", "arguments": {"a": 1})").has_open_call)
      << "the arguments are complete";
}

}  // namespace
}  // namespace millrace::engine
