// Times as Kubernetes writes them: RFC 3339 in UTC, whole seconds ("2026-01-02T03:04:05Z").
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace millrace::controller {

using TimePoint = std::chrono::system_clock::time_point;

std::string format_time(TimePoint time);
// Accepts a fraction of a second (MicroTime) and drops it. Empty when the text is not such a time.
std::optional<TimePoint> parse_time(const std::string& text);

}  // namespace millrace::controller
