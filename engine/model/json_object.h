#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace millrace::engine {

// Parses a JSON object from untrusted text. Throws kDataLoss naming `source` when the text is not JSON, is no object,
// nests deeper than 8 levels, or an object names a key twice.
nlohmann::json parse_json_object(std::string_view text, const std::string& source);

}  // namespace millrace::engine
