#include "engine/text/output_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

namespace millrace::engine {
namespace {

using nlohmann::ordered_json;
using testing::ElementsAre;

const ToolSet& tools() {
  static const ToolSet set = ToolSet::parse(ordered_json::parse(R"([
    {"type": "function", "function": {"name": "get", "parameters": {"properties": {
      "city": {"type": "string"}, "days": {"type": "integer"}, "exact": {"type": "boolean"},
      "opts": {"type": "object"}, "note": {"type": ["string", "null"]}}}}},
    {"type": "function", "function": {"name": "now"}}])"));
  return set;
}

OutputParserOptions options(bool starts_in_reasoning) {
  OutputParserOptions out;
  out.parse_tool_calls = true;
  out.starts_in_reasoning = starts_in_reasoning;
  out.make_call_id = [n = 0]() mutable { return "call_" + std::to_string(n++); };
  return out;
}

ParsedOutput parse(std::string_view text, bool starts_in_reasoning = false, bool truncated = false) {
  return parse_output(text, tools(), options(starts_in_reasoning), truncated);
}

std::string call_arguments(const std::string& body) {
  const ParsedOutput out = parse("<tool_call>\n<function=get>\n" + body);
  EXPECT_EQ(out.tool_calls.size(), 1u);
  EXPECT_EQ(out.content, "");
  EXPECT_FALSE(out.has_open_call);
  return out.tool_calls.empty() ? "" : out.tool_calls[0].arguments;
}

std::string one_parameter(const std::string& key, const std::string& value) {
  return call_arguments("<parameter=" + key + ">\n" + value + "\n</parameter>\n</function>\n</tool_call>");
}

TEST(OutputParser, SplitsReasoningFromContent) {
  const ParsedOutput out = parse("so\n</think>\n\nHi", true);
  EXPECT_EQ(out.reasoning, "so\n");
  EXPECT_EQ(out.content, "Hi");
}

TEST(OutputParser, DropsALeadingThink) {
  EXPECT_EQ(parse("<think>\nso</think>Hi", true).reasoning, "\nso");
  EXPECT_EQ(parse("\n<think>so</think>Hi", false).reasoning, "so");
  EXPECT_EQ(parse("\n<thin", false).content, "\n<thin");
}

TEST(OutputParser, WithoutEndEverythingIsReasoningOrContent) {
  EXPECT_EQ(parse("so far </thi", true).reasoning, "so far </thi");
  EXPECT_EQ(parse("so far", true).content, "");
  EXPECT_EQ(parse("\n\nplain </think> text", false).content, "\n\nplain </think> text");
}

TEST(OutputParser, ReasoningCanBeLeftInTheContent) {
  OutputParserOptions raw = options(true);
  raw.parse_reasoning = false;
  const ParsedOutput out = parse_output("a</think>\n\nb", tools(), raw);
  EXPECT_EQ(out.reasoning, "");
  EXPECT_EQ(out.content, "a</think>\n\nb");
}

TEST(OutputParser, ACallInsideReasoningEndsItButAMentionDoesNot) {
  const ParsedOutput call = parse("use it<tool_call>\n<function=now>\n</function>\n</tool_call>", true);
  EXPECT_EQ(call.reasoning, "use it");
  ASSERT_EQ(call.tool_calls.size(), 1u);
  EXPECT_EQ(call.tool_calls[0].arguments, "{}");
  const ParsedOutput mention = parse("the <tool_call> tag and <function=now> too</think>ok", true);
  EXPECT_EQ(mention.reasoning, "the <tool_call> tag and <function=now> too");
  EXPECT_EQ(mention.content, "ok");
}

TEST(OutputParser, ToolMarkupIsTextWhenToolsAreOff) {
  OutputParserOptions off = options(true);
  off.parse_tool_calls = false;
  const std::string markup = "<tool_call>\n<function=now>\n</function>\n</tool_call>";
  EXPECT_EQ(parse_output(markup + "</think>" + markup, tools(), off).reasoning, markup);
  EXPECT_EQ(parse_output(markup + "</think>" + markup, tools(), off).content, markup);
}

TEST(OutputParser, ReadsTypedArguments) {
  EXPECT_EQ(call_arguments(
                "<parameter=city>\nOslo\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
                "<parameter=exact>\nTrue\n</parameter>\n<parameter=opts>\n{'a': None}\n</parameter>\n"
                "<parameter=note>\nNone\n</parameter>\n<parameter=other>\n5\n</parameter>\n</function>\n</tool_call>"),
            R"({"city": "Oslo", "days": 3, "exact": true, "opts": {"a": null}, "note": null, "other": "5"})");
}

TEST(OutputParser, RemovesExactlyOneNewlineAtEachEnd) {
  EXPECT_EQ(one_parameter("city", "\n a \n"), R"({"city": "\n a \n"})");
  EXPECT_EQ(one_parameter("city", ""), R"({"city": ""})");
  EXPECT_EQ(call_arguments("<parameter=city></parameter></function></tool_call>"), R"({"city": ""})");
  EXPECT_EQ(call_arguments("<parameter=city>x</parameter></function></tool_call>"), R"({"city": "x"})");
}

TEST(OutputParser, ValuesAreVerbatim) {
  EXPECT_EQ(one_parameter("city", "if (a < b && c > d) \"q\" \\n <b>&lt;</b>"),
            R"({"city": "if (a < b && c > d) \"q\" \\n <b>&lt;</b>"})");
  EXPECT_EQ(one_parameter("city", "<function=x> </tool_call> <parameter=zip>"),
            R"({"city": "<function=x> </tool_call> <parameter=zip>"})");
  EXPECT_EQ(one_parameter("note", "nullable"), R"({"note": "nullable"})");
}

TEST(OutputParser, AQuotedEndOfFunctionIsText) {
  EXPECT_EQ(one_parameter("city", "write </function> at the end"), R"({"city": "write </function> at the end"})");
}

TEST(OutputParser, AMissingEndOfParameterIsRepaired) {
  EXPECT_EQ(call_arguments("<parameter=city>\nOslo\n<parameter=days>\n3\n</function>\n</tool_call>"),
            R"({"city": "Oslo", "days": 3})");
  EXPECT_EQ(call_arguments("<parameter=city>\nOslo\n</function>\n</tool_call>"), R"({"city": "Oslo"})");
  EXPECT_EQ(call_arguments("<parameter=city>\nOslo\n</function>"), R"({"city": "Oslo"})");
  EXPECT_EQ(call_arguments("<parameter=city>\nOslo\n</function>\n</tool_c"), R"({"city": "Oslo"})");
}

TEST(OutputParser, MissingEndsOfFunctionAndCallAreRepaired) {
  EXPECT_EQ(call_arguments("<parameter=days>\n3\n</parameter>\n</tool_call>"), R"({"days": 3})");
  EXPECT_EQ(call_arguments("<parameter=days>\n3\n</parameter>\n"), R"({"days": 3})");
  EXPECT_EQ(call_arguments(""), "{}");
  const ParsedOutput two = parse("<tool_call>\n<function=now>\n<tool_call>\n<function=now>\n</function>");
  ASSERT_EQ(two.tool_calls.size(), 2u);
  EXPECT_EQ(two.tool_calls[0].arguments, "{}");
}

TEST(OutputParser, AMissingStartOfCallIsAcceptedForKnownTools) {
  const ParsedOutput known = parse("Sure.\n<function=now>\n</function>\n</tool_call>");
  EXPECT_EQ(known.content, "Sure.\n");
  ASSERT_EQ(known.tool_calls.size(), 1u);
  EXPECT_EQ(parse("<function=other>\n</function>").content, "<function=other>\n</function>");
}

TEST(OutputParser, ATruncatedCallKeepsItsOpenJson) {
  const std::string start = "<tool_call>\n<function=get>\n<parameter=city>\nOs";
  const ParsedOutput cut = parse(start, false, true);
  EXPECT_TRUE(cut.has_open_call);
  ASSERT_EQ(cut.tool_calls.size(), 1u);
  EXPECT_EQ(cut.tool_calls[0].arguments, R"({"city": "Os)");
  EXPECT_TRUE(parse(start + "\n</parameter>\n", false, true).has_open_call);
  EXPECT_TRUE(parse(start).has_open_call);
  EXPECT_FALSE(parse(start + "\n</parameter>\n</function>", false, true).has_open_call);
  const ParsedOutput unnamed = parse("<tool_call>\n<function=ge", false, true);
  EXPECT_TRUE(unnamed.tool_calls.empty());
  EXPECT_TRUE(unnamed.has_open_call);
}

TEST(OutputParser, SeveralCallsAndTextAround) {
  const ParsedOutput out = parse(
      "ok</think>\n\nLet me "
      "see.\n\n<tool_call>\n<function=now>\n</function>\n</tool_call>\n<tool_call>\n<function=get>\n"
      "<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>\n\nDone.",
      true);
  EXPECT_EQ(out.content, "Let me see.\n\n\n\nDone.");
  ASSERT_EQ(out.tool_calls.size(), 2u);
  EXPECT_EQ(out.tool_calls[0].id, "call_0");
  EXPECT_EQ(out.tool_calls[0].name, "now");
  EXPECT_EQ(out.tool_calls[1].id, "call_1");
  EXPECT_EQ(out.tool_calls[1].arguments, R"({"city": "Oslo"})");
}

TEST(OutputParser, OnlyWhiteSpaceBeforeACallIsNoContent) {
  EXPECT_EQ(parse("x</think>\n\n \n<tool_call>\n<function=now>\n</function>\n</tool_call>\n", true).content, "");
}

TEST(OutputParser, StringValuesStreamPieceByPiece) {
  OutputParser parser(tools(), options(false));
  parser.feed("<tool_call>\n<function=get>\n<parameter=city>\n");
  const auto first = parser.feed("Os");
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].text, "\"Os");
  EXPECT_EQ(parser.feed("lo\n").at(0).text, "lo");
  EXPECT_TRUE(parser.feed("</para").empty());
  EXPECT_EQ(parser.feed("meter>").at(0).text, "\"");
  EXPECT_EQ(parser.tool_calls(), 1);
}

TEST(OutputParser, TheFirstDeltaOfACallNamesIt) {
  OutputParser parser(tools(), options(false));
  const auto deltas = parser.feed("<tool_call>\n<function=now>");
  ASSERT_EQ(deltas.size(), 1u);
  EXPECT_EQ(deltas[0].kind, OutputDelta::Kind::kToolCallStart);
  EXPECT_EQ(deltas[0].tool_index, 0);
  EXPECT_EQ(deltas[0].name, "now");
  EXPECT_EQ(deltas[0].id, "call_0");
}

TEST(OutputParser, DefaultIdsAreCallAnd24HexDigits) {
  OutputParserOptions plain;
  plain.parse_tool_calls = true;
  const std::string calls = "<tool_call><function=now></function></tool_call>";
  const ParsedOutput out = parse_output(calls + calls, tools(), plain);
  ASSERT_EQ(out.tool_calls.size(), 2u);
  EXPECT_THAT(out.tool_calls[0].id, testing::MatchesRegex("call_[0-9a-f]+"));
  EXPECT_EQ(out.tool_calls[0].id.size(), 29u);
  EXPECT_NE(out.tool_calls[0].id, out.tool_calls[1].id);
}

TEST(OutputParser, InReasoningFollowsTheText) {
  OutputParser parser(tools(), options(true));
  EXPECT_TRUE(parser.in_reasoning());
  parser.feed("thought");
  EXPECT_TRUE(parser.in_reasoning());
  parser.feed("</think>answer");
  EXPECT_FALSE(parser.in_reasoning());
}

std::string joined(std::vector<OutputDelta> deltas) {
  std::string out;
  for (const OutputDelta& d : deltas) {
    out += std::to_string(static_cast<int>(d.kind)) + "," + std::to_string(d.tool_index) + d.id + d.name + ":" +
           d.text + "\n";
  }
  return out;
}

// Everything a client would put together from the deltas, in order.
std::string assembled(const std::vector<std::string>& pieces, OutputParserOptions opts, bool truncated) {
  OutputParser parser(tools(), std::move(opts));
  std::vector<OutputDelta> all;
  const auto add = [&all](std::vector<OutputDelta> deltas) {
    for (OutputDelta& delta : deltas) {
      const bool joins = !all.empty() && all.back().kind == delta.kind &&
                         delta.kind != OutputDelta::Kind::kToolCallStart && all.back().tool_index == delta.tool_index;
      if (joins) {
        all.back().text += delta.text;
      } else {
        all.push_back(std::move(delta));
      }
    }
  };
  for (const std::string& piece : pieces) add(parser.feed(piece));
  add(parser.finish(truncated));
  return joined(all) + (parser.has_open_call() ? "open" : "closed");
}

TEST(OutputParser, AnyCutsGiveTheSameDeltas) {
  const std::vector<std::string> words = {"<think>",     "</think>",
                                          "<tool_call>", "</tool_call>",
                                          "<function=",  "get>",
                                          "now>",        "</function>",
                                          "<parameter=", "city>",
                                          "days>",       "note>",
                                          "opts>",       "</parameter>",
                                          "\n",          "\n\n",
                                          " ",           "3",
                                          "null",        "None",
                                          "{'a': 1}",    "text",
                                          "<",           "é🙂",
                                          "\"",          "{\"name\": \"get\", \"arguments\": {\"a\": 1}}",
                                          "{",           "}"};
  std::mt19937 random(17);
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    if (round % 2 == 0) text = "<tool_call>\n<function=get>\n<parameter=city>\n";
    const std::size_t length = random() % 24;
    for (std::size_t i = 0; i < length; ++i) text += words[random() % words.size()];
    OutputParserOptions opts = options(random() % 2 == 0);
    opts.parse_tool_calls = random() % 8 != 0;
    opts.parse_reasoning = random() % 8 != 0;
    if (random() % 4 == 0) opts.format = ChatFormat::kQwq;
    const bool truncated = random() % 2 == 0;
    std::vector<std::string> bytes, pieces;
    for (const char c : text) bytes.emplace_back(1, c);
    for (std::size_t i = 0; i < text.size();) {
      pieces.push_back(text.substr(i, 1 + random() % 9));
      i += pieces.back().size();
    }
    const std::string whole = assembled({text}, opts, truncated);
    ASSERT_EQ(assembled(bytes, opts, truncated), whole) << text;
    ASSERT_EQ(assembled(pieces, opts, truncated), whole) << text;
  }
}

TEST(OutputParser, ClosedCallsAreAlwaysJson) {
  std::mt19937 random(23);
  const std::vector<std::string> words = {"<parameter=city>",
                                          "<parameter=days>\n",
                                          "<parameter=opts>",
                                          "</parameter>",
                                          "\n",
                                          "x",
                                          "\"",
                                          "\\",
                                          "{'a': '\"'}",
                                          "[1,",
                                          "12",
                                          "\x01",
                                          "</function>",
                                          "null",
                                          "<parameter=a\"b>"};
  for (int round = 0; round < 3000; ++round) {
    std::string text = "<tool_call><function=get>";
    for (std::size_t i = 0; i < random() % 12; ++i) text += words[random() % words.size()];
    const ParsedOutput out = parse(text + "</parameter></function></tool_call>");
    ASSERT_FALSE(out.has_open_call);
    for (const ChatToolCall& call : out.tool_calls) ASSERT_TRUE(ordered_json::accept(call.arguments)) << call.arguments;
  }
}

TEST(OutputParser, HugeInputsInSmallPiecesAreLinear) {
  for (const char* unit : {"<", "\n", " ", "a", "<tool_call> ", "</think", "\n<parameter="}) {
    std::string block;
    while (block.size() < 1000) block += unit;
    for (const char* start :
         {"", "</think>", "</think><tool_call><function=get><parameter=city>",
          "</think><tool_call><function=get><parameter=opts>", "</think><tool_call><function=get>"}) {
      OutputParser parser(tools(), options(true));
      std::size_t size = 0;
      const auto count = [&size](const std::vector<OutputDelta>& deltas) {
        for (const OutputDelta& delta : deltas) size += delta.text.size();
      };
      count(parser.feed(start));
      for (int i = 0; i < 1000; ++i) count(parser.feed(block));
      count(parser.finish());
      EXPECT_LE(size, 2200000u);
    }
  }
}

}  // namespace
}  // namespace millrace::engine
