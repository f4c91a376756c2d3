#include "operator/kube/timestamp.h"

#include <array>
#include <cstdio>

namespace millrace::controller::kube {
namespace {

using std::chrono::system_clock;

// Reads exactly `digits` digits at the front of `text` and removes them; -1 when they are not there.
int take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return -1;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take_one_of(std::string_view& text, std::string_view accepted) {
  if (text.empty() || accepted.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

std::chrono::microseconds take_fraction(std::string_view& text) {
  int micros = 0;
  int scale = 100'000;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    micros += (text.front() - '0') * scale;
    scale /= 10;
    text.remove_prefix(1);
  }
  return std::chrono::microseconds(micros);
}

std::optional<std::chrono::minutes> take_offset(std::string_view& text) {
  if (take_one_of(text, "Zz")) return std::chrono::minutes(0);
  if (text.empty()) return std::nullopt;
  const int sign = text.front() == '-' ? -1 : 1;
  if (!take_one_of(text, "+-")) return std::nullopt;
  const int hours = take_number(text, 2);
  if (hours < 0 || hours > 23 || !take_one_of(text, ":")) return std::nullopt;
  const int minutes = take_number(text, 2);
  if (minutes < 0 || minutes > 59) return std::nullopt;
  return std::chrono::minutes(sign * (hours * 60 + minutes));
}

std::optional<std::chrono::sys_days> take_date(std::string_view& text) {
  const int year = take_number(text, 4);
  if (year < 0 || !take_one_of(text, "-")) return std::nullopt;
  const int month = take_number(text, 2);
  if (month < 0 || !take_one_of(text, "-")) return std::nullopt;
  const int day = take_number(text, 2);
  if (day < 0) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date);
}

std::optional<std::chrono::seconds> take_clock(std::string_view& text) {
  const int hours = take_number(text, 2);
  if (hours < 0 || hours > 23 || !take_one_of(text, ":")) return std::nullopt;
  const int minutes = take_number(text, 2);
  if (minutes < 0 || minutes > 59 || !take_one_of(text, ":")) return std::nullopt;
  const int seconds = take_number(text, 2);
  if (seconds < 0 || seconds > 60) return std::nullopt;
  return std::chrono::hours(hours) + std::chrono::minutes(minutes) + std::chrono::seconds(seconds);
}

}  // namespace

std::string format_time(system_clock::time_point time) {
  const std::string micro = format_micro_time(time);
  return micro.substr(0, micro.size() - 8) + "Z";
}

std::string format_micro_time(system_clock::time_point time) {
  const auto micros = std::chrono::floor<std::chrono::microseconds>(time);
  const auto days = std::chrono::floor<std::chrono::days>(micros);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss clock(micros - days);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return text.data();
}

std::optional<system_clock::time_point> parse_timestamp(std::string_view text) {
  const auto date = take_date(text);
  if (!date || !take_one_of(text, "Tt ")) return std::nullopt;
  const auto clock = take_clock(text);
  if (!clock) return std::nullopt;
  std::chrono::microseconds fraction{0};
  if (take_one_of(text, ".")) fraction = take_fraction(text);
  const auto offset = take_offset(text);
  if (!offset || !text.empty()) return std::nullopt;
  return system_clock::time_point(*date) + *clock + fraction - *offset;
}

}  // namespace millrace::controller::kube
