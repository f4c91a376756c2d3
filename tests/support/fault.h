#pragma once

#include <optional>
#include <string>

#include "common/error.h"

namespace millrace::test {

struct Fault {
  std::optional<common::Code> code;  // empty: nothing was thrown
  std::string message = "accepted";
};

// The common::Error that the action throws.
template <typename Action>
Fault fault_of(Action&& action) {
  try {
    action();
  } catch (const common::Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

}  // namespace millrace::test
