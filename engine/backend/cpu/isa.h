// Which vector instruction sets the machine has, and the kernels compiled for them.
#pragma once

#include <string>
#include <string_view>

#include "engine/backend/cpu/kernels.h"

namespace millrace::engine::cpu {

// The kernels of `name`, or of the best path this machine runs when it is empty. Throws common::Error{kInvalidArgument}
// with the names that would work.
const Kernels& select_kernels(std::string_view name);

}  // namespace millrace::engine::cpu
