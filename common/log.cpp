#include "common/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

#include "common/error.h"

namespace millrace::common {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 4> kLevelCapitals = {"DEBUG", "INFO", "WARN", "ERROR"};

std::atomic<LogFormat> log_format{LogFormat::kText};

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = std::make_shared<spdlog::logger>("millrace", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *instance;
}

std::string now_rfc3339() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const auto seconds = static_cast<std::time_t>(millis / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, millis % 1000);
}

std::string quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool is_plain(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7F) return false;
  }
  return true;
}

std::string format_value(const LogValue& value, bool quote_always) {
  struct Visitor {
    bool quote_always;
    std::string operator()(std::string_view text) const {
      return quote_always || !is_plain(text) ? quoted(text) : std::string(text);
    }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(std::int64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const { return nlohmann::json(number).dump(); }  // non-finite becomes null
  };
  return std::visit(Visitor{quote_always}, value.value());
}

template <std::size_t N>
std::size_t index_of(const std::array<std::string_view, N>& names, std::string_view text, std::string_view what) {
  std::string accepted;
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == text) return i;
    accepted += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  throw Error(Code::kInvalidArgument, std::string(what) + " is \"" + std::string(text) + "\"; use one of: " + accepted);
}

}  // namespace

void configure_log(LogFormat format, LogLevel level) {
  log_format = format;
  logger().set_level(spdlog_level(level));
}

LogLevel parse_log_level(std::string_view text) {
  return static_cast<LogLevel>(index_of(kLevelNames, text, "log level"));
}

LogFormat parse_log_format(std::string_view text) {
  return static_cast<LogFormat>(index_of(std::array<std::string_view, 2>{"text", "json"}, text, "log format"));
}

void log(LogLevel level, std::string_view message, LogFields fields) {
  const auto mapped = spdlog_level(level);
  if (!logger().should_log(mapped)) return;
  const std::string line = format_log_line(log_format, now_rfc3339(), level, message, fields);
  logger().log(mapped, spdlog::string_view_t(line.data(), line.size()));
}

std::string format_log_line(LogFormat format, std::string_view timestamp, LogLevel level, std::string_view message,
                            LogFields fields) {
  const auto index = static_cast<std::size_t>(level);
  if (format == LogFormat::kText) {
    std::string line = std::string(timestamp) + " " + std::string(kLevelCapitals[index]) + " " + std::string(message);
    for (const LogField& field : fields) line += " " + std::string(field.key) + "=" + format_value(field.value, false);
    return line;
  }
  std::string line =
      "{\"ts\":" + quoted(timestamp) + ",\"level\":" + quoted(kLevelNames[index]) + ",\"msg\":" + quoted(message);
  for (const LogField& field : fields) line += "," + quoted(field.key) + ":" + format_value(field.value, true);
  return line + "}";
}

}  // namespace millrace::common
