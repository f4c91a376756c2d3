// docs/http-api.md names a test for what it claims.
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>

#include "tests/paths.h"

namespace millrace::agent {
namespace {

std::set<std::string> tests_of_this_program() {
  std::set<std::string> names;
  const auto& unit = *testing::UnitTest::GetInstance();
  for (int i = 0; i < unit.total_test_suite_count(); ++i) {
    const testing::TestSuite& suite = *unit.GetTestSuite(i);
    for (int j = 0; j < suite.total_test_count(); ++j) {
      names.insert(std::string(suite.name()) + "." + suite.GetTestInfo(j)->name());
    }
  }
  return names;
}

TEST(HttpApiDocs, EveryTestThatTheyNameExists) {
  std::ifstream file(MILLRACE_SOURCE_DIR "/docs/http-api.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::set<std::string> known = tests_of_this_program();
  const std::regex name("`([A-Z][A-Za-z]+\\.[A-Z][A-Za-z0-9]+)`");
  int named = 0;
  for (auto it = std::sregex_iterator(text.begin(), text.end(), name); it != std::sregex_iterator(); ++it, ++named) {
    EXPECT_TRUE(known.contains((*it)[1])) << (*it)[1];
  }
  EXPECT_GT(named, 30);
}

}  // namespace
}  // namespace millrace::agent
