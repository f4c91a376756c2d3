// The ways Python prints values, which the family's template relies on: json.dumps(ensure_ascii=False) and str().
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace millrace::engine {

// ", " and ": " between items, non-ASCII unescaped, key order kept.
// Throws kInvalidArgument for values nested deeper than 256 levels.
std::string python_json(const nlohmann::ordered_json& value);

// str() of a scalar (True, None, 1.5, raw strings); JSON of arrays and objects, as the template does for arguments.
std::string python_str(const nlohmann::ordered_json& value);

// repr() of a finite float: shortest digits that read back the same.
std::string python_float(double value);

// Appends text as it stands inside a JSON string, without the quotes. Works on pieces of a text.
void append_json_escaped(std::string_view text, std::string& out);
std::string json_string(std::string_view text);

// Whether the whole text is one JSON value. (The JSON library alone takes a zero byte for the end of the text.)
bool is_json(std::string_view text);

// str.strip() without arguments: Unicode white space at both ends.
std::string_view python_strip(std::string_view text);

}  // namespace millrace::engine
