// Stop strings over decoded text. Text that could be the beginning of a stop string is held back until it is decided.
// The match that ends first wins, among those the longest; so the result does not depend on how the text was cut up.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::engine {

// One generation; one thread.
class StopStrings {
 public:
  // Throws kInvalidArgument for an empty stop string. With include_stop_str_in_output the matched string is released
  // too.
  explicit StopStrings(std::vector<std::string> stops, bool include_stop_str_in_output = false);

  // Text that may be shown now. After a match nothing more is released.
  std::string push(std::string_view text);

  // End of the generation without a match: what was held back.
  std::string flush();

  // The stop string that was found, if any.
  bool stopped() const { return matched_.has_value(); }
  const std::string* matched() const { return matched_ ? &stops_[*matched_].text : nullptr; }

 private:
  struct Stop {
    std::string text;
    std::vector<std::size_t> failure;  // Knuth-Morris-Pratt: longest proper border of each prefix
    std::size_t length = 0;            // how much of text the seen text ends with
  };
  bool advance(char byte);

  std::vector<Stop> stops_;
  bool include_;
  std::string held_;
  std::optional<std::size_t> matched_;
};

}  // namespace millrace::engine
