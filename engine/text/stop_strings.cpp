#include "engine/text/stop_strings.h"

#include <algorithm>
#include <utility>

#include "common/error.h"

namespace millrace::engine {
namespace {

std::vector<std::size_t> failure_table(const std::string& text) {
  std::vector<std::size_t> failure(text.size(), 0);
  for (std::size_t i = 1, length = 0; i < text.size(); ++i) {
    while (length > 0 && text[i] != text[length]) length = failure[length - 1];
    if (text[i] == text[length]) ++length;
    failure[i] = length;
  }
  return failure;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> stops, bool include_stop_str_in_output)
    : include_(include_stop_str_in_output) {
  for (std::string& stop : stops) {
    if (stop.empty()) {
      throw common::Error(common::Code::kInvalidArgument, "stop contains an empty string; accepted: non-empty strings");
    }
    std::vector<std::size_t> failure = failure_table(stop);
    stops_.push_back({std::move(stop), std::move(failure), 0});
  }
}

// True when a stop string ends with this byte.
bool StopStrings::advance(char byte) {
  for (std::size_t i = 0; i < stops_.size(); ++i) {
    Stop& stop = stops_[i];
    while (stop.length > 0 && stop.text[stop.length] != byte) stop.length = stop.failure[stop.length - 1];
    if (stop.text[stop.length] == byte) ++stop.length;
    const bool complete = stop.length == stop.text.size();
    if (complete && (!matched_ || stop.length > stops_[*matched_].length)) matched_ = i;
  }
  return matched_.has_value();
}

std::string StopStrings::push(std::string_view text) {
  if (matched_) return {};
  for (const char byte : text) {
    held_.push_back(byte);
    if (!advance(byte)) continue;
    if (!include_) held_.resize(held_.size() - stops_[*matched_].text.size());
    return std::exchange(held_, {});
  }
  std::size_t undecided = 0;
  for (const Stop& stop : stops_) undecided = std::max(undecided, stop.length);
  std::string ready = held_.substr(0, held_.size() - undecided);
  held_.erase(0, ready.size());
  return ready;
}

std::string StopStrings::flush() {
  return std::exchange(held_, {});
}

}  // namespace millrace::engine
