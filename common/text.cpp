#include "common/text.h"

#include <algorithm>

namespace millrace::common {

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  text = text.substr(0, text.find_last_not_of(kSpace) + 1);
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return std::string(text);
}

}  // namespace millrace::common
