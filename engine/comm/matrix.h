// Rows and columns of F32 host tensors, as the transports of this folder move them.
#pragma once

#include <algorithm>
#include <cstddef>

#include "engine/backend/tensor.h"

namespace millrace::engine {

inline float* row_of(const Tensor& x, std::int64_t row) {
  return reinterpret_cast<float*>(x.data) + row * x.stride;
}

inline bool is_dense(const Tensor& x) {
  return x.stride == x.cols || x.rows <= 1;
}

// Copies `from` (rows, cols) dense into columns [begin, begin + cols) of `to`.
inline void copy_into_columns(const float* from, std::int64_t cols, const Tensor& to, std::int64_t begin) {
  for (std::int64_t row = 0; row < to.rows; ++row) {
    std::copy_n(from + row * cols, cols, row_of(to, row) + begin);
  }
}

}  // namespace millrace::engine
