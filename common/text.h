// Small things that are done to text everywhere.
#pragma once

#include <string>
#include <string_view>

namespace millrace::common {

// Without white space (blanks, tabs, ends of lines) at both ends.
std::string trimmed(std::string_view text);

}  // namespace millrace::common
