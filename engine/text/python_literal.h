// Python literals as JSON: models often write {'a': True} where JSON was asked for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace millrace::engine {

// JSON text of a literal made of dicts, lists, tuples, strings, numbers, True, False and None; empty if it is not one.
std::optional<std::string> python_literal_to_json(std::string_view text);

}  // namespace millrace::engine
