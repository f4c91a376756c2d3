// Reads the fields of a JSON object with errors that name the field, the value and what would be accepted.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::common {

// Every method throws Error{kInvalidArgument}; an absent field leaves `value` as it is unless `required`.
// Borrows the JSON value.
class JsonFields {
 public:
  // `path` names the object in messages, for example "peers[1]"; empty for the document itself.
  JsonFields(const nlohmann::json& object, std::string path);

  JsonFields& required(std::string_view key);  // the field must be there

  JsonFields& read(std::string_view key, std::string& value);
  JsonFields& read(std::string_view key, bool& value);
  JsonFields& read(std::string_view key, double& value);
  template <typename Int>
  JsonFields& read(std::string_view key, Int& value, std::int64_t min = std::numeric_limits<Int>::min(),
                   std::int64_t max = static_cast<std::int64_t>(std::numeric_limits<Int>::max())) {
    std::int64_t wide = value;
    if (read_integer(key, wide, min, max)) value = static_cast<Int>(wide);
    return *this;
  }
  // An array of at most `max_items`; null when absent.
  const nlohmann::json* array(std::string_view key);

  // After all reads: a field that nobody read is an error.
  void no_others() const;

  std::string name(std::string_view key) const;

 private:
  const nlohmann::json* find(std::string_view key);
  bool read_integer(std::string_view key, std::int64_t& value, std::int64_t min, std::int64_t max);

  const nlohmann::json& object_;
  std::string path_;
  std::set<std::string, std::less<>> known_;
};

// An integer inside an array. `name` is for the message.
std::int64_t json_integer(const nlohmann::json& value, const std::string& name, std::int64_t min, std::int64_t max);

}  // namespace millrace::common
