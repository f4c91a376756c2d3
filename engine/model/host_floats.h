// Stored numbers as float, for the small tensors that back ends take as F32.
#pragma once

#include <vector>

#include "engine/backend/tensor.h"

namespace millrace::engine {

// (rows * cols), dense, row-major.
std::vector<float> to_floats(const HostMatrix& matrix);

}  // namespace millrace::engine
