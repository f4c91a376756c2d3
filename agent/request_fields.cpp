#include "agent/request_fields.h"

namespace millrace::agent {
namespace {

// Long values are cut: the message is for a human, and must not echo a whole prompt.
constexpr std::size_t kShownBytes = 60;

std::string show(const Json& value) {
  if (value.is_array()) return "an array of " + std::to_string(value.size()) + " items";
  if (value.is_object()) return "an object";
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kShownBytes) text = text.substr(0, kShownBytes) + "...";
  return text;
}

std::string show(double number) {
  return Json(number).dump();
}

std::string describe(const NumberRange& range) {
  const bool has_max = range.max != std::numeric_limits<double>::infinity();
  if (range.above_min) {
    return has_max ? "a number above " + show(range.min) + ", at most " + show(range.max)
                   : "a number above " + show(range.min);
  }
  if (range.min == -std::numeric_limits<double>::infinity()) return "a number";
  return has_max ? "a number from " + show(range.min) + " to " + show(range.max)
                 : "a number of at least " + show(range.min);
}

}  // namespace

ApiError wrong_value(const std::string& param, const Json& value, const std::string& expected) {
  return bad_request(param, (param.empty() ? "the value" : param) + " is " + show(value) + "; expected " + expected);
}

std::int64_t integer_value(const Json& value, const std::string& param, std::int64_t min, std::int64_t max) {
  const bool fits =
      value.is_number_integer() &&
      (!value.is_number_unsigned() ||
       value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  if (!fits || value.get<std::int64_t>() < min || value.get<std::int64_t>() > max) {
    std::string expected = "an integer";
    const bool bounded_below = min != std::numeric_limits<std::int64_t>::min();
    const bool bounded_above = max != std::numeric_limits<std::int64_t>::max();
    if (bounded_below && bounded_above) expected += " from " + std::to_string(min) + " to " + std::to_string(max);
    if (bounded_below && !bounded_above) expected += " of at least " + std::to_string(min);
    throw wrong_value(param, value, expected);
  }
  return value.get<std::int64_t>();
}

RequestFields::RequestFields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object.is_object()) throw wrong_value(path_, object, "an object");
}

const Json* RequestFields::find(std::string_view key) const {
  if (path_.empty()) asked_.emplace(key);
  const auto it = object_.find(std::string(key));
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

std::optional<std::string> RequestFields::text(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) throw wrong(key, *value, "a string");
  return value->get<std::string>();
}

std::optional<bool> RequestFields::flag(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) throw wrong(key, *value, "true or false");
  return value->get<bool>();
}

std::optional<double> RequestFields::number(std::string_view key, NumberRange range) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : std::numeric_limits<double>::quiet_NaN();
  const bool inside = (range.above_min ? number > range.min : number >= range.min) && number <= range.max;
  if (!inside) throw wrong(key, *value, describe(range));  // also for not-a-number
  return number;
}

std::optional<std::int64_t> RequestFields::integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  return integer_value(*value, param(key), min, max);
}

const Json* RequestFields::array(std::string_view key, std::size_t max_items) const {
  const Json* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_array() || value->size() > max_items) {
    throw wrong(key, *value, "an array of at most " + std::to_string(max_items) + " items");
  }
  return value;
}

const Json* RequestFields::object(std::string_view key) const {
  const Json* value = find(key);
  if (value != nullptr && !value->is_object()) throw wrong(key, *value, "an object");
  return value;
}

std::string RequestFields::required_text(std::string_view key) const {
  if (auto value = text(key)) return *value;
  throw bad_request(param(key), param(key) + " is missing; expected a string", "missing_required_parameter");
}

const Json& RequestFields::required_array(std::string_view key, std::size_t max_items) const {
  const Json* value = array(key, max_items);
  if (value == nullptr || value->empty()) {
    throw bad_request(param(key), param(key) + " is missing or empty; expected an array", "missing_required_parameter");
  }
  return *value;
}

std::vector<std::string> RequestFields::unread() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object_.items()) {
    if (!asked_.contains(key)) keys.push_back(key);
  }
  return keys;
}

std::string RequestFields::param(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

std::string RequestFields::param(std::string_view key, std::size_t index) const {
  return param(key) + "[" + std::to_string(index) + "]";
}

ApiError RequestFields::wrong(std::string_view key, const Json& value, const std::string& expected) const {
  return wrong_value(param(key), value, expected);
}

}  // namespace millrace::agent
