#include "engine/text/argument_value.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/text/python_literal.h"
#include "engine/text/python_text.h"

namespace millrace::engine {
namespace {

constexpr std::string_view kNulls[] = {"null", "None"};  // JSON's, and Python's, which the template shows in history

// Canonical decimal digits of any length; empty if text is not an integer.
std::optional<std::string> read_integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  text.remove_prefix(std::min(text.find_first_not_of('0'), text.size() - 1));
  return (negative && text != "0" ? "-" : "") + std::string(text);
}

std::optional<std::string> read_number(std::string_view text) {
  if (std::optional<std::string> integer = read_integer(text)) return integer;
  if (text.starts_with('+')) text.remove_prefix(1);
  const nlohmann::json value = is_json(text) ? nlohmann::json::parse(text, nullptr, false) : nlohmann::json();
  if (!value.is_number()) return std::nullopt;
  const double number = value.get<double>();
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (std::trunc(number) == number && std::abs(number) < kExact) return std::to_string(static_cast<long long>(number));
  return python_float(number);
}

std::string read_boolean(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower == "true" ? "true" : "false";
}

std::optional<std::string> read_json(std::string_view text) {
  if (is_json(text)) return std::string(text);
  return python_literal_to_json(text);
}

}  // namespace

bool means_null(std::string_view text, ArgumentType type) {
  if (type.kind == ArgumentKind::kString && !type.nullable) return false;
  return std::find(std::begin(kNulls), std::end(kNulls), text) != std::end(kNulls);
}

bool may_mean_null(std::string_view text, ArgumentType type) {
  if (type.kind == ArgumentKind::kString && !type.nullable) return false;
  return std::any_of(std::begin(kNulls), std::end(kNulls),
                     [&](std::string_view null) { return null.starts_with(text); });
}

std::string argument_to_json(std::string_view text, ArgumentType type) {
  if (type.kind == ArgumentKind::kString) return means_null(text, type) ? "null" : json_string(text);
  const std::string_view bare = python_strip(text);
  if (means_null(bare, type)) return "null";
  std::optional<std::string> json;
  if (type.kind == ArgumentKind::kInteger) json = read_integer(bare);
  if (type.kind == ArgumentKind::kNumber) json = read_number(bare);
  if (type.kind == ArgumentKind::kBoolean) json = read_boolean(bare);
  if (type.kind == ArgumentKind::kJson) json = read_json(bare);
  return json ? *json : json_string(text);
}

}  // namespace millrace::engine
