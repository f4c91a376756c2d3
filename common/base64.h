// Base64 as Kubernetes writes and reads it in Secrets and kubeconfigs (RFC 4648, section 4, with padding).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace millrace::common {

std::string encode_base64(std::string_view bytes);

// Accepts exactly what the API server and kubectl accept (StdEncoding of Go's encoding/base64), so that a text means
// the same everywhere: padding is required, carriage returns and line feeds are skipped, any other character is
// refused, and the unused bits before the padding need not be zero. Empty when the text is not base64.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace millrace::common
