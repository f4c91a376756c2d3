// The token that operator and agents of one deployment share. Made once, never overwritten.
#pragma once

#include <optional>
#include <string>

#include "operator/resources/child.h"

namespace millrace::controller {

inline constexpr const char* kTokenKey = "token";

std::string random_token();  // 256 bits from the system's generator, in hexadecimal

kube::Object build_admin_secret(const Parent& parent, const std::string& token);

// From a stored Secret; empty when it has none.
std::optional<std::string> token_of(const kube::Object& secret);

}  // namespace millrace::controller
