// Base64 as Secrets use it (RFC 4648, with padding).
#pragma once

#include <optional>
#include <string>

namespace millrace::controller {

std::string encode_base64(const std::string& bytes);
// Empty when the text is not base64.
std::optional<std::string> decode_base64(const std::string& text);

}  // namespace millrace::controller
