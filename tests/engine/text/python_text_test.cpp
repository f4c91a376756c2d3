#include "engine/text/python_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/error.h"

namespace millrace::engine {
namespace {

using nlohmann::ordered_json;

TEST(PythonText, FloatsPrintAsRepr) {
  EXPECT_EQ(python_float(1.5), "1.5");
  EXPECT_EQ(python_float(1.0), "1.0");
  EXPECT_EQ(python_float(-0.0), "-0.0");
  EXPECT_EQ(python_float(0.1), "0.1");
  EXPECT_EQ(python_float(1e15), "1000000000000000.0");
  EXPECT_EQ(python_float(1e16), "1e+16");
  EXPECT_EQ(python_float(1.25e22), "1.25e+22");
  EXPECT_EQ(python_float(0.0001), "0.0001");
  EXPECT_EQ(python_float(0.00001), "1e-05");
  EXPECT_EQ(python_float(5e-324), "5e-324");
  EXPECT_EQ(python_float(123456789.123), "123456789.123");
}

TEST(PythonText, JsonKeepsOrderAndCharacters) {
  const auto value = ordered_json::parse(R"({"b": 1, "a": "é<\"\\\n\u0001\u007f", "c": [true, null, {}], "d": 1.50})");
  EXPECT_EQ(python_json(value), "{\"b\": 1, \"a\": \"é<\\\"\\\\\\n\\u0001\x7f\", \"c\": [true, null, {}], \"d\": 1.5}");
}

TEST(PythonText, StrOfScalarsIsPythonsAndOfContainersJson) {
  EXPECT_EQ(python_str("text"), "text");
  EXPECT_EQ(python_str(true), "True");
  EXPECT_EQ(python_str(nullptr), "None");
  EXPECT_EQ(python_str(-3), "-3");
  EXPECT_EQ(python_str(ordered_json::parse("[true, null]")), "[true, null]");
}

TEST(PythonText, JsonRefusesBottomlessNesting) {
  EXPECT_NO_THROW(python_json(ordered_json::parse(std::string(200, '[') + std::string(200, ']'))));
  EXPECT_THROW(python_json(ordered_json::parse(std::string(5000, '[') + std::string(5000, ']'))), common::Error);
}

TEST(PythonText, StripTakesUnicodeWhiteSpace) {
  EXPECT_EQ(python_strip(" \n\t\u00a0\u3000\x1c a b \u2003\u0085\x1f"), "a b");
  EXPECT_EQ(python_strip("\u200b"), "\u200b");  // zero width space is no white space
  EXPECT_EQ(python_strip(" \u2028 "), "");
  EXPECT_EQ(python_strip(""), "");
  EXPECT_EQ(python_strip("\xA0"), "\xA0");  // not UTF-8: left alone
}

}  // namespace
}  // namespace millrace::engine
