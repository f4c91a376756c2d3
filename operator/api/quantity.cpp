#include "operator/api/quantity.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace millrace::controller {
namespace {

struct Suffix {
  std::string_view text;
  double factor;
};
constexpr std::array<Suffix, 16> kSuffixes{{{"", 1},
                                            {"n", 1e-9},
                                            {"u", 1e-6},
                                            {"m", 1e-3},
                                            {"k", 1e3},
                                            {"M", 1e6},
                                            {"G", 1e9},
                                            {"T", 1e12},
                                            {"P", 1e15},
                                            {"E", 1e18},
                                            {"Ki", 1024.0},
                                            {"Mi", 1048576.0},
                                            {"Gi", 1073741824.0},
                                            {"Ti", 1099511627776.0},
                                            {"Pi", 1125899906842624.0},
                                            {"Ei", 1152921504606846976.0}}};

std::optional<double> exponent_factor(std::string_view text) {
  if (text.size() < 2 || (text[0] != 'e' && text[0] != 'E')) return std::nullopt;
  text.remove_prefix(text[1] == '+' ? 2 : 1);
  int power = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), power);
  if (error != std::errc() || end != text.data() + text.size() || power > 18 || power < -9) return std::nullopt;
  return std::pow(10.0, power);
}

}  // namespace

std::optional<double> parse_quantity(std::string_view text) {
  const std::size_t digits = text.find_first_not_of("0123456789.");
  const std::string_view number = text.substr(0, digits);
  const std::string_view unit = digits == std::string_view::npos ? std::string_view{} : text.substr(digits);
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc() || end != number.data() + number.size()) return std::nullopt;
  for (const Suffix& suffix : kSuffixes) {
    if (suffix.text == unit) return value * suffix.factor;
  }
  const std::optional<double> factor = exponent_factor(unit);
  if (!factor) return std::nullopt;
  return value * *factor;
}

std::optional<double> quantity_of(const nlohmann::json& value) {
  if (value.is_string()) return parse_quantity(std::string_view(value.get_ref<const std::string&>()));
  if (value.is_number() && value.get<double>() >= 0) return value.get<double>();
  return std::nullopt;
}

std::string format_bytes(double bytes) {
  static constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  std::array<char, 40> text{};
  const int size =
      std::snprintf(text.data(), text.size(), bytes == std::floor(bytes) ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
  return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace millrace::controller
