#include "agent/random_id.h"

#include <random>

namespace millrace::agent {

std::string random_id(std::string_view prefix) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::random_device source;
  std::string id(prefix);
  for (int word = 0; word < 3; ++word) {
    unsigned bits = source();
    for (int digit = 0; digit < 8; ++digit, bits >>= 4) id.push_back(kDigits[bits & 15U]);
  }
  return id;
}

}  // namespace millrace::agent
