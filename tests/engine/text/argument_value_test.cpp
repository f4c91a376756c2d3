#include "engine/text/argument_value.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/text/python_literal.h"

namespace millrace::engine {
namespace {

std::string as(ArgumentKind kind, std::string_view text, bool nullable = false) {
  return argument_to_json(text, {kind, nullable});
}

TEST(ArgumentValue, StringsStayAsTheyAre) {
  EXPECT_EQ(as(ArgumentKind::kString, " a\"b\n"), R"(" a\"b\n")");
  EXPECT_EQ(as(ArgumentKind::kString, "12"), R"("12")");
  EXPECT_EQ(as(ArgumentKind::kString, "null"), R"("null")");
  EXPECT_EQ(as(ArgumentKind::kString, "null", true), "null");
  EXPECT_EQ(as(ArgumentKind::kString, "None", true), "null");
  EXPECT_EQ(as(ArgumentKind::kString, "nullable", true), R"("nullable")");
}

TEST(ArgumentValue, Integers) {
  EXPECT_EQ(as(ArgumentKind::kInteger, " 42 "), "42");
  EXPECT_EQ(as(ArgumentKind::kInteger, "-007"), "-7");
  EXPECT_EQ(as(ArgumentKind::kInteger, "+0"), "0");
  EXPECT_EQ(as(ArgumentKind::kInteger, "123456789012345678901234567890"), "123456789012345678901234567890");
  EXPECT_EQ(as(ArgumentKind::kInteger, "many"), R"("many")");
  EXPECT_EQ(as(ArgumentKind::kInteger, "None"), "null");
  EXPECT_EQ(as(ArgumentKind::kInteger, ""), R"("")");
}

TEST(ArgumentValue, NumbersPrintAsIntegersWhenTheyAre) {
  EXPECT_EQ(as(ArgumentKind::kNumber, "1.50"), "1.5");
  EXPECT_EQ(as(ArgumentKind::kNumber, "3.0"), "3");
  EXPECT_EQ(as(ArgumentKind::kNumber, "1e3"), "1000");
  EXPECT_EQ(as(ArgumentKind::kNumber, "1e300"), "1e+300");
  EXPECT_EQ(as(ArgumentKind::kNumber, "nan"), R"("nan")");
  EXPECT_EQ(as(ArgumentKind::kNumber, "1e999"), R"("1e999")");
}

TEST(ArgumentValue, BooleansAreTrueOnlyWhenTheySaySo) {
  EXPECT_EQ(as(ArgumentKind::kBoolean, "True"), "true");
  EXPECT_EQ(as(ArgumentKind::kBoolean, "false"), "false");
  EXPECT_EQ(as(ArgumentKind::kBoolean, "yes"), "false");
}

TEST(ArgumentValue, ObjectsAreJsonOrPythonOrText) {
  EXPECT_EQ(as(ArgumentKind::kJson, "\n{\"a\": [1, 2]}\n"), R"({"a": [1, 2]})");
  EXPECT_EQ(as(ArgumentKind::kJson, "{'a': True, 'b': (None, 1.5),}"), R"({"a": true, "b": [null, 1.5]})");
  EXPECT_EQ(as(ArgumentKind::kJson, "null"), "null");
  EXPECT_EQ(as(ArgumentKind::kJson, "red"), R"("red")");
}

TEST(ArgumentValue, AZeroByteDoesNotEndAValue) {
  const std::string_view text("null\0junk", 9), number("1.5\0junk", 8);
  EXPECT_EQ(as(ArgumentKind::kJson, text), R"("null\u0000junk")");
  EXPECT_EQ(as(ArgumentKind::kNumber, number), R"("1.5\u0000junk")");
}

TEST(PythonLiteral, ReadsStringsWithEscapes) {
  EXPECT_EQ(python_literal_to_json(R"(['it\'s', "a\n\x41\u00e9\z"])"), "[\"it's\", \"a\\nA\u00e9\\\\z\"]");
  EXPECT_EQ(python_literal_to_json("{1: 2}"), R"({"1": 2})");
  EXPECT_EQ(python_literal_to_json("()"), "[]");
}

TEST(PythonLiteral, RefusesEverythingElse) {
  for (const char* text :
       {"", "[", "[1", "{'a'}", "{'a' 1}", "f(x)", "'open", "1 2", "[1,,2]", "__import__('os')", "'\\ud800'", "--1"}) {
    EXPECT_EQ(python_literal_to_json(text), std::nullopt) << text;
  }
  EXPECT_EQ(python_literal_to_json(std::string(100000, '[')), std::nullopt);
}

TEST(PythonLiteral, WhatItGivesIsJson) {
  for (const char* text : {"[1, -2.5e3, +4]", "{'k': {'n': [()]}}", "'\\x00\\u2028'", "True"}) {
    const auto json = python_literal_to_json(text);
    ASSERT_TRUE(json) << text;
    EXPECT_TRUE(nlohmann::json::accept(*json)) << *json;
  }
}

}  // namespace
}  // namespace millrace::engine
