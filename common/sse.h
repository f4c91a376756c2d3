// Server-sent events: "data: ..." lines, an empty line ends an event.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::common {

inline constexpr std::string_view kSseContentType = "text/event-stream; charset=utf-8";

// One event; `data` must not contain line breaks (JSON text never does).
std::string format_sse(std::string_view data);

// Reads a stream of events in pieces of any size. Comments and fields other than data are skipped.
class SseParser {
 public:
  // The data of the events completed by this piece; lines of one event are joined by line feeds.
  std::vector<std::string> feed(std::string_view piece);

 private:
  std::string line_;
  std::optional<std::string> data_;
};

}  // namespace millrace::common
