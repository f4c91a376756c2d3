#include "operator/api/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.h"
#include "tests/paths.h"

namespace millrace::controller {
namespace {

using kube::Json;
using ::testing::HasSubstr;

Json only(const std::string& text) {
  return parse_yaml(text, "test").at(0);
}

std::string error_of(const std::string& text) {
  try {
    parse_yaml(text, "file.yaml");
  } catch (const common::Error& error) {
    return error.what();
  }
  return "";
}

TEST(Yaml, ReadsPlainScalarsByTheCoreSchema) {
  EXPECT_EQ(only("a: 1\nb: 1.5\nc: true\nd: ~\ne: text\nf: 1e3\ng: -7"),
            Json({{"a", 1}, {"b", 1.5}, {"c", true}, {"d", nullptr}, {"e", "text"}, {"f", 1000.0}, {"g", -7}}));
}

TEST(Yaml, KeepsQuotedScalarsAndOddNumbersAsText) {
  EXPECT_EQ(only("a: '1'\nb: \"true\"\nc: 500m\nd: 1.2.3\ne: yes"),
            Json({{"a", "1"}, {"b", "true"}, {"c", "500m"}, {"d", "1.2.3"}, {"e", "yes"}}));
}

TEST(Yaml, ReadsSeveralDocumentsAndJson) {
  EXPECT_EQ(parse_yaml("a: 1\n---\nb: 2\n", "test").size(), 2U);
  EXPECT_EQ(only(R"({"a": [1, "x"]})"), Json({{"a", {1, "x"}}}));
}

TEST(Yaml, NamesFileAndLineOfAMistake) {
  EXPECT_THAT(error_of("a: 1\nb: [1,\n"), HasSubstr("file.yaml: line "));
  EXPECT_THAT(error_of("a: 1\na: 2\n"), HasSubstr("\"a\" is there twice"));
}

TEST(Yaml, EndsWellOnAliasesThatMultiply) {
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char name = 'b'; name < 'k'; ++name) {
    const std::string before(1, static_cast<char>(name - 1));
    bomb += std::string(1, name) + ": &" + name + " [";
    for (int i = 0; i < 9; ++i) bomb += "*" + before + ",";
    bomb += "]\n";
  }
  EXPECT_THAT(error_of(bomb), HasSubstr("more than 200000 values"));
}

TEST(Yaml, EndsWellOnDeepNesting) {
  EXPECT_THAT(error_of(std::string(150, '[') + std::string(150, ']')), HasSubstr("deeper than 100"));
}

TEST(Manifest, NamesAFileThatCannotBeRead) {
  EXPECT_THROW(read_manifest("/nowhere/file.yaml"), common::Error);
  EXPECT_THROW(read_manifest("/tmp"), common::Error);
}

TEST(Manifest, ReadsAnExample) {
  EXPECT_FALSE(read_manifest(std::string(MILLRACE_SOURCE_DIR) + "/examples/tiny-moe.yaml").empty());
}

}  // namespace
}  // namespace millrace::controller
