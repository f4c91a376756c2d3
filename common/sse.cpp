#include "common/sse.h"

#include <utility>

namespace millrace::common {

std::string format_sse(std::string_view data) {
  std::string event = "data: ";
  return event.append(data).append("\n\n");
}

std::vector<std::string> SseParser::feed(std::string_view piece) {
  std::vector<std::string> events;
  for (const char c : piece) {
    if (c != '\n') {
      line_.push_back(c);
      continue;
    }
    if (!line_.empty() && line_.back() == '\r') line_.pop_back();
    std::string_view line = line_;
    if (line.empty()) {
      if (data_) events.push_back(*std::exchange(data_, std::nullopt));
    } else if (line.starts_with("data:")) {
      line.remove_prefix(5);
      if (line.starts_with(' ')) line.remove_prefix(1);
      if (data_) data_->push_back('\n');
      data_ = data_.value_or("").append(line);
    }
    line_.clear();
  }
  return events;
}

}  // namespace millrace::common
