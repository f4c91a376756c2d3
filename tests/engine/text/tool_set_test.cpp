#include "engine/text/tool_set.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/error.h"

namespace millrace::engine {
namespace {

using nlohmann::ordered_json;

ArgumentType type_of(const std::string& schema) {
  const auto tools =
      ordered_json::parse(R"([{"name": "f", "parameters": {"properties": {"x": )" + schema +
                          R"(}, "$defs": {"Mode": {"type": "integer"}, "Loop": {"$ref": "#/$defs/Loop"}}}}])");
  return ToolSet::parse(tools).find("f")->arguments.at("x");
}

TEST(ToolSet, ReadsTypesFromNamesListsAlternativesAndReferences) {
  EXPECT_EQ(type_of(R"({"type": "string"})").kind, ArgumentKind::kString);
  EXPECT_EQ(type_of(R"({"type": "INT64"})").kind, ArgumentKind::kInteger);
  EXPECT_EQ(type_of(R"({"type": "number"})").kind, ArgumentKind::kNumber);
  EXPECT_EQ(type_of(R"({"type": "bool"})").kind, ArgumentKind::kBoolean);
  EXPECT_EQ(type_of(R"({"type": "list[int]"})").kind, ArgumentKind::kJson);
  EXPECT_EQ(type_of(R"({"type": ["null", "integer"]})").kind, ArgumentKind::kInteger);
  EXPECT_TRUE(type_of(R"({"type": ["null", "integer"]})").nullable);
  EXPECT_EQ(type_of(R"({"anyOf": [{"type": "null"}, {"type": "object"}]})").kind, ArgumentKind::kJson);
  EXPECT_EQ(type_of(R"({"$ref": "#/$defs/Mode"})").kind, ArgumentKind::kInteger);
  EXPECT_EQ(type_of(R"({"$ref": "#/$defs/Loop"})").kind, ArgumentKind::kString);
  EXPECT_EQ(type_of(R"({})").kind, ArgumentKind::kString);
  EXPECT_EQ(type_of(R"(7)").kind, ArgumentKind::kString);
  EXPECT_FALSE(type_of(R"({"type": "string"})").nullable);
}

TEST(ToolSet, KeepsTheWholeToolAsOneLine) {
  const ToolSet set =
      ToolSet::parse(ordered_json::parse(R"([{"type":"function","function":{"name":"f"},"extra":[1,2]}])"));
  ASSERT_EQ(set.lines().size(), 1u);
  EXPECT_EQ(set.lines()[0], R"({"type": "function", "function": {"name": "f"}, "extra": [1, 2]})");
  EXPECT_NE(set.find("f"), nullptr);
  EXPECT_EQ(set.find("g"), nullptr);
}

TEST(ToolSet, NoToolsAndWrongTools) {
  EXPECT_TRUE(ToolSet::parse(nullptr).empty());
  EXPECT_TRUE(ToolSet::parse(ordered_json::array()).empty());
  EXPECT_THROW(ToolSet::parse(ordered_json::parse("{}")), common::Error);
  EXPECT_THROW(ToolSet::parse(ordered_json::parse("[1]")), common::Error);
  EXPECT_EQ(ToolSet::parse(ordered_json::parse(R"([{"b": 1}])")).find(""), nullptr);
}

}  // namespace
}  // namespace millrace::engine
