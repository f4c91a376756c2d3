#include "common/json_fields.h"

#include "common/error.h"

namespace millrace::common {
namespace {

[[noreturn]] void fail(const std::string& name, const nlohmann::json& value, const std::string& accepted) {
  std::string shown = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (shown.size() > 64) shown = shown.substr(0, 61) + "...";
  throw Error(Code::kInvalidArgument, name + " is " + shown + "; expected " + accepted);
}

std::string range_text(std::int64_t min, std::int64_t max) {
  if (max == std::numeric_limits<std::int64_t>::max()) return "an integer of at least " + std::to_string(min);
  return "an integer from " + std::to_string(min) + " to " + std::to_string(max);
}

}  // namespace

std::int64_t json_integer(const nlohmann::json& value, const std::string& name, std::int64_t min, std::int64_t max) {
  const bool fits =
      value.is_number_integer() &&
      (!value.is_number_unsigned() ||
       value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  if (!fits || value.get<std::int64_t>() < min || value.get<std::int64_t>() > max) {
    fail(name, value, range_text(min, max));
  }
  return value.get<std::int64_t>();
}

JsonFields::JsonFields(const nlohmann::json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object.is_object()) fail(path_.empty() ? "the document" : path_, object, "an object");
}

std::string JsonFields::name(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

const nlohmann::json* JsonFields::find(std::string_view key) {
  known_.emplace(key);
  const auto it = object_.find(std::string(key));
  return it == object_.end() ? nullptr : &*it;
}

JsonFields& JsonFields::required(std::string_view key) {
  if (find(key) == nullptr) throw Error(Code::kInvalidArgument, name(key) + " is missing");
  return *this;
}

JsonFields& JsonFields::read(std::string_view key, std::string& value) {
  if (const auto* field = find(key)) {
    if (!field->is_string()) fail(name(key), *field, "a string");
    value = field->get<std::string>();
  }
  return *this;
}

JsonFields& JsonFields::read(std::string_view key, bool& value) {
  if (const auto* field = find(key)) {
    if (!field->is_boolean()) fail(name(key), *field, "true or false");
    value = field->get<bool>();
  }
  return *this;
}

JsonFields& JsonFields::read(std::string_view key, double& value) {
  if (const auto* field = find(key)) {
    if (!field->is_number()) fail(name(key), *field, "a number");
    value = field->get<double>();
  }
  return *this;
}

const nlohmann::json* JsonFields::array(std::string_view key) {
  const auto* field = find(key);
  if (field != nullptr && !field->is_array()) fail(name(key), *field, "an array");
  return field;
}

bool JsonFields::read_integer(std::string_view key, std::int64_t& value, std::int64_t min, std::int64_t max) {
  const auto* field = find(key);
  if (field == nullptr) return false;
  value = json_integer(*field, name(key), min, max);
  return true;
}

void JsonFields::no_others() const {
  for (const auto& [key, value] : object_.items()) {
    if (known_.contains(key)) continue;
    std::string accepted;
    for (const auto& known : known_) accepted += (accepted.empty() ? "" : ", ") + known;
    throw Error(Code::kInvalidArgument, name(key) + " is not a known field; known: " + accepted);
  }
}

}  // namespace millrace::common
