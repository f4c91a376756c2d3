// Log lines: a constant message and key/value pairs, one line each on standard error, as text or as JSON.
//
//   log_info("group ready", {{"generation", 3}, {"ranks", 4}});
//   2026-01-02T03:04:05.678Z INFO group ready generation=3 ranks=4
//   {"ts":"2026-01-02T03:04:05.678Z","level":"info","msg":"group ready","generation":3,"ranks":4}
//
// Never log secrets or the text of prompts and answers. Any thread.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace millrace::common {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kText, kJson };

// A value of a log line. Borrows text: alive for the call only.
class LogValue {
 public:
  LogValue(std::string_view text) : value_(text) {}  // NOLINT(google-explicit-constructor): written as {"key", value}
  LogValue(const char* text) : value_(std::string_view(text)) {}         // NOLINT
  LogValue(const std::string& text) : value_(std::string_view(text)) {}  // NOLINT
  LogValue(bool value) : value_(value) {}                                // NOLINT
  template <std::integral T>
  requires(!std::same_as<T, bool>) LogValue(T value) : value_(static_cast<std::int64_t>(value)) {}  // NOLINT
  LogValue(double value) : value_(value) {}                                                         // NOLINT

  const std::variant<std::string_view, bool, std::int64_t, double>& value() const { return value_; }

 private:
  std::variant<std::string_view, bool, std::int64_t, double> value_;
};

struct LogField {
  std::string_view key;
  LogValue value;
};
using LogFields = std::initializer_list<LogField>;

// For main(), before other threads start. Default: info, text. A process has one standard error, hence one setting.
void configure_log(LogFormat format, LogLevel level);

// Throw kInvalidArgument naming what is accepted.
LogLevel parse_log_level(std::string_view text);
LogFormat parse_log_format(std::string_view text);

void log(LogLevel level, std::string_view message, LogFields fields);
inline void log_debug(std::string_view message, LogFields fields = {}) {
  log(LogLevel::kDebug, message, fields);
}
inline void log_info(std::string_view message, LogFields fields = {}) {
  log(LogLevel::kInfo, message, fields);
}
inline void log_warn(std::string_view message, LogFields fields = {}) {
  log(LogLevel::kWarn, message, fields);
}
inline void log_error(std::string_view message, LogFields fields = {}) {
  log(LogLevel::kError, message, fields);
}

// The line itself, without the newline. `timestamp` is RFC 3339.
std::string format_log_line(LogFormat format, std::string_view timestamp, LogLevel level, std::string_view message,
                            LogFields fields);

}  // namespace millrace::common
