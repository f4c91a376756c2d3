#pragma once

#include <regex>
#include <set>
#include <string>

namespace millrace::test {

// What the pattern's first group matches, wherever it does; ^ and $ are those of lines.
inline std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern, std::regex::ECMAScript | std::regex::multiline);
  std::set<std::string> found;
  for (auto it = std::sregex_iterator(text.begin(), text.end(), regex); it != std::sregex_iterator(); ++it) {
    found.insert((*it)[1]);
  }
  return found;
}

}  // namespace millrace::test
