// Typed access to the keys of a config.json. Every fault is a kInvalidArgument that names the file, the key, the value
// found and what would be accepted.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace millrace::engine {

class ConfigReader {
 public:
  // `object` must be a JSON object and outlive the reader. `where` starts every message, for example "config.json:
  // text_config.".
  ConfigReader(const nlohmann::json& object, std::string where);

  bool has(const char* key) const;  // present and not null
  std::int64_t integer(const char* key, std::int64_t min, std::int64_t max) const;
  std::int64_t integer_or(const char* key, std::int64_t fallback, std::int64_t min, std::int64_t max) const;
  double positive_or(const char* key, double fallback) const;
  double positive(const char* key) const;
  bool boolean_or(const char* key, bool fallback) const;
  std::string text_or(const char* key, const std::string& fallback) const;
  std::vector<std::string> texts(const char* key) const;
  std::vector<std::int64_t> integers(const char* key) const;
  ConfigReader object(const char* key) const;

  // Throws "<where><key> is <value>; accepted: <accepted>".
  [[noreturn]] void refuse(const char* key, const std::string& accepted) const;

 private:
  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace millrace::engine
