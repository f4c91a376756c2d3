// Request bodies as JSON, with bounds on what a hostile body can cost.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace millrace::agent {

inline constexpr int kMaxJsonDepth = 64;

// Key order is kept, because tools are shown to the model as they were sent. Throws ApiError (400): not JSON, not
// UTF-8, deeper than kMaxJsonDepth, too many keys in an object, or not an object.
nlohmann::ordered_json parse_json_body(std::string_view body);

}  // namespace millrace::agent
