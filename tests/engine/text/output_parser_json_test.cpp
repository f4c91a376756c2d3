// The JSON tool-call syntax of QwQ.
#include <gtest/gtest.h>

#include "engine/text/output_parser.h"

namespace millrace::engine {
namespace {

ParsedOutput parse(std::string_view text, bool starts_in_reasoning = false) {
  static const ToolSet kNoTools;
  OutputParserOptions options;
  options.format = ChatFormat::kQwq;
  options.parse_tool_calls = true;
  options.starts_in_reasoning = starts_in_reasoning;
  return parse_output(text, kNoTools, options);
}

TEST(OutputParserJson, ReadsCallsBehindReasoning) {
  const ParsedOutput out = parse(
      "hm\n</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"</tool_call> }\", \"n\": "
      "1.50}}\n</tool_call>\n"
      "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>",
      true);
  EXPECT_EQ(out.reasoning, "hm\n");
  EXPECT_EQ(out.content, "");
  ASSERT_EQ(out.tool_calls.size(), 2u);
  EXPECT_EQ(out.tool_calls[0].name, "f");
  EXPECT_EQ(out.tool_calls[0].arguments, "{\"a\": \"</tool_call> }\", \"n\": 1.5}");
  EXPECT_EQ(out.tool_calls[1].arguments, "{}");
}

TEST(OutputParserJson, AcceptsArgumentsAsAStringAndUnderTheOtherName) {
  EXPECT_EQ(parse(R"(<tool_call>{"name": "f", "arguments": "{\"a\":1}"}</tool_call>)").tool_calls.at(0).arguments,
            "{\"a\":1}");
  EXPECT_EQ(parse(R"(<tool_call>{"name": "f", "parameters": {"a": 1}}</tool_call>)").tool_calls.at(0).arguments,
            "{\"a\": 1}");
  EXPECT_EQ(parse(R"(<tool_call>{"name": "f"}</tool_call>)").tool_calls.at(0).arguments, "{}");
}

TEST(OutputParserJson, WhatIsNoCallIsContent) {
  EXPECT_EQ(parse("<tool_call>\nnothing").content, "<tool_call>\nnothing");
  EXPECT_EQ(parse("<tool_call>{\"nome\": 1}").content, "<tool_call>{\"nome\": 1}");
  EXPECT_EQ(parse("<tool_call>{\"name\": \"f\", ").content, "<tool_call>{\"name\": \"f\", ");
  EXPECT_TRUE(parse("<tool_call>{]").tool_calls.empty());
}

}  // namespace
}  // namespace millrace::engine
