#include "engine/model/config_reader.h"

#include <cmath>

#include "common/error.h"

namespace millrace::engine {
namespace {

constexpr std::size_t kShownValue = 80;  // a hostile value must not fill the log

std::string shown(const nlohmann::json& value) {
  if (value.is_array()) return "a list of " + std::to_string(value.size()) + " items";
  if (value.is_object()) return "an object";
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kShownValue) text = text.substr(0, kShownValue) + "...";
  return text;
}

}  // namespace

ConfigReader::ConfigReader(const nlohmann::json& object, std::string where)
    : object_(object), where_(std::move(where)) {}

bool ConfigReader::has(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

void ConfigReader::refuse(const char* key, const std::string& accepted) const {
  const auto found = object_.find(key);
  const std::string state = found == object_.end() ? "missing" : shown(*found);
  throw common::Error(common::Code::kInvalidArgument, where_ + key + " is " + state + "; accepted: " + accepted);
}

std::int64_t ConfigReader::integer(const char* key, std::int64_t min, std::int64_t max) const {
  const std::string accepted = "an integer from " + std::to_string(min) + " to " + std::to_string(max);
  const auto found = object_.find(key);
  if (found == object_.end() || !found->is_number_integer()) refuse(key, accepted);
  if (found->is_number_unsigned() && found->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    refuse(key, accepted);
  }
  const auto value = found->get<std::int64_t>();
  if (value < min || value > max) refuse(key, accepted);
  return value;
}

std::int64_t ConfigReader::integer_or(const char* key, std::int64_t fallback, std::int64_t min,
                                      std::int64_t max) const {
  return has(key) ? integer(key, min, max) : fallback;
}

double ConfigReader::positive(const char* key) const {
  const std::string accepted = "a positive number";
  const auto found = object_.find(key);
  if (found == object_.end() || !found->is_number()) refuse(key, accepted);
  const auto value = found->get<double>();
  if (!(value > 0.0) || !std::isfinite(value)) refuse(key, accepted);
  return value;
}

double ConfigReader::positive_or(const char* key, double fallback) const {
  return has(key) ? positive(key) : fallback;
}

bool ConfigReader::boolean_or(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  const auto& value = object_.at(key);
  if (!value.is_boolean()) refuse(key, "true or false");
  return value.get<bool>();
}

std::string ConfigReader::text_or(const char* key, const std::string& fallback) const {
  if (!has(key)) return fallback;
  const auto& value = object_.at(key);
  if (!value.is_string()) refuse(key, "a string");
  return value.get<std::string>();
}

std::vector<std::string> ConfigReader::texts(const char* key) const {
  const auto& value = object_.at(key);
  if (!value.is_array()) refuse(key, "a list of strings");
  std::vector<std::string> result;
  for (const auto& item : value) {
    if (!item.is_string()) refuse(key, "a list of strings");
    result.push_back(item.get<std::string>());
  }
  return result;
}

std::vector<std::int64_t> ConfigReader::integers(const char* key) const {
  const auto& value = object_.at(key);
  if (!value.is_array()) refuse(key, "a list of integers");
  std::vector<std::int64_t> result;
  for (const auto& item : value) {
    if (!item.is_number_integer()) refuse(key, "a list of integers");
    result.push_back(item.get<std::int64_t>());
  }
  return result;
}

ConfigReader ConfigReader::object(const char* key) const {
  const auto found = object_.find(key);
  if (found == object_.end() || !found->is_object()) refuse(key, "an object");
  return ConfigReader(*found, where_ + key + ".");
}

}  // namespace millrace::engine
