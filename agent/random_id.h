// Identifiers that no two answers share.
#pragma once

#include <string>
#include <string_view>

namespace millrace::agent {

// The prefix and 24 random hexadecimal digits. Any thread.
std::string random_id(std::string_view prefix);

}  // namespace millrace::agent
