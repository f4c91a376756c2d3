// Reads the fields of a request's JSON object. A field that is absent or null gives nothing; a wrong one throws
// ApiError (400) with the field as `param` and a message that says what is accepted.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/api_error.h"

namespace millrace::agent {

using Json = nlohmann::ordered_json;

struct NumberRange {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false;  // min itself is not accepted
};

// Borrows the object.
class RequestFields {
 public:
  // `path` names the object in messages ("messages[2]"); empty for the body. Throws if it is not an object.
  RequestFields(const Json& object, std::string path);

  // Null when absent or null.
  const Json* find(std::string_view key) const;

  std::optional<std::string> text(std::string_view key) const;
  std::optional<bool> flag(std::string_view key) const;
  std::optional<double> number(std::string_view key, NumberRange range = {}) const;
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t min, std::int64_t max) const;
  const Json* array(std::string_view key, std::size_t max_items) const;
  const Json* object(std::string_view key) const;

  std::string required_text(std::string_view key) const;
  const Json& required_array(std::string_view key, std::size_t max_items) const;

  // The fields of the body that nobody has looked for.
  std::vector<std::string> unread() const;

  std::string param(std::string_view key) const;
  std::string param(std::string_view key, std::size_t index) const;

  // "temperature is "hot"; expected ..."
  ApiError wrong(std::string_view key, const Json& value, const std::string& expected) const;

 private:
  const Json& object_;
  std::string path_;
  mutable std::set<std::string, std::less<>> asked_;  // of the body; empty for objects inside
};

// The error for a value anywhere in the body.
ApiError wrong_value(const std::string& param, const Json& value, const std::string& expected);
std::int64_t integer_value(const Json& value, const std::string& param, std::int64_t min, std::int64_t max);

}  // namespace millrace::agent
