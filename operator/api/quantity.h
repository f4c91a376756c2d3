// Kubernetes resource quantities: "500m", "4", "16Gi", "1.5", "1e3".
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::controller {

// In base units (cores, bytes, devices). Empty when the text is no quantity.
std::optional<double> parse_quantity(std::string_view text);
// A string or a number, as JSON allows both.
std::optional<double> quantity_of(const nlohmann::json& value);

std::string format_bytes(double bytes);  // "3.2 GiB", for people

}  // namespace millrace::controller
