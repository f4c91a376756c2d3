#include "operator/plan/decimal.h"

#include <array>
#include <cstdio>

namespace millrace::controller {

std::string decimal(double value, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

}  // namespace millrace::controller
