// Kubernetes time stamps: RFC 3339 in UTC, to the second (Time) or microsecond (MicroTime).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::controller::kube {

std::string format_time(std::chrono::system_clock::time_point time);        // "2026-01-02T03:04:05Z"
std::string format_micro_time(std::chrono::system_clock::time_point time);  // "2026-01-02T03:04:05.000006Z"

// Either form, with any number of fraction digits and "Z" or an offset; nullopt for anything else.
std::optional<std::chrono::system_clock::time_point> parse_timestamp(std::string_view text);

}  // namespace millrace::controller::kube
