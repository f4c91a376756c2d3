#include "operator/kube/watch_stream.h"

#include <array>
#include <utility>

namespace millrace::controller::kube {
namespace {

using common::Code;

constexpr std::array<std::pair<std::string_view, EventType>, 4> kTypes{{{"ADDED", EventType::kAdded},
                                                                        {"MODIFIED", EventType::kModified},
                                                                        {"DELETED", EventType::kDeleted},
                                                                        {"BOOKMARK", EventType::kBookmark}}};

std::optional<EventType> type_of(const Json& document) {
  const auto it = document.find("type");
  if (it == document.end() || !it->is_string()) return std::nullopt;
  for (const auto& [name, type] : kTypes) {
    if (it->get_ref<const std::string&>() == name) return type;
  }
  return std::nullopt;
}

ApiError garbage(std::string_view line, std::string_view why) {
  // Only printable bytes go into the message: it will be logged.
  std::string start;
  for (const char c : line.substr(0, 80)) start += c >= ' ' && c <= '~' ? c : '.';
  return {Code::kDataLoss, 0, "", "watch stream: " + std::string(why) + ": " + start};
}

bool is_error(const Json& document) {
  const auto it = document.find("type");
  return it != document.end() && *it == "ERROR";
}

}  // namespace

std::vector<WatchEvent> WatchDecoder::push(std::string_view bytes) {
  std::vector<WatchEvent> events;
  while (!error_ && !bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() > max_line_) {
      error_ = garbage(line_.empty() ? part : line_, "a line is longer than " + std::to_string(max_line_) + " bytes");
      break;
    }
    if (end == std::string_view::npos) {
      line_ += part;
      break;
    }
    bytes.remove_prefix(end + 1);
    std::optional<WatchEvent> event;
    if (line_.empty()) {
      event = decode(part);
    } else {
      line_ += part;
      event = decode(std::exchange(line_, {}));
    }
    if (event) events.push_back(std::move(*event));
  }
  return events;
}

std::optional<WatchEvent> WatchDecoder::decode(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.empty()) return std::nullopt;
  Json document = parse_document(line);
  if (!document.is_object()) {
    error_ = garbage(line, "a line is not a JSON object");
    return std::nullopt;
  }
  const auto object = document.find("object");
  if (is_error(document)) {
    error_ = error_from_status(object == document.end() ? Json() : *object, 0, std::nullopt, "watch");
    return std::nullopt;
  }
  const std::optional<EventType> type = type_of(document);
  if (!type || object == document.end() || !object->is_object()) {
    error_ = garbage(line, "a line is not a watch event");
    return std::nullopt;
  }
  return WatchEvent{*type, Object(std::move(*object))};
}

}  // namespace millrace::controller::kube
