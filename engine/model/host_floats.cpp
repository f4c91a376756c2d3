#include "engine/model/host_floats.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace millrace::engine {
namespace {

float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

float from_f16(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1F;
  const int fraction = bits & 0x3FF;
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  return sign * std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
}

template <typename Stored>
Stored load(const void* data, std::int64_t index) {
  Stored value;
  std::memcpy(&value, static_cast<const std::byte*>(data) + static_cast<std::size_t>(index) * sizeof(Stored),
              sizeof(Stored));
  return value;
}

float element(const HostMatrix& matrix, std::int64_t index) {
  switch (matrix.dtype) {
    case DType::kF32:
      return load<float>(matrix.data, index);
    case DType::kBF16:
      return from_bf16(load<std::uint16_t>(matrix.data, index));
    case DType::kF16:
      return from_f16(load<std::uint16_t>(matrix.data, index));
    case DType::kI32:
      return static_cast<float>(load<std::int32_t>(matrix.data, index));
  }
  return 0.0F;
}

}  // namespace

std::vector<float> to_floats(const HostMatrix& matrix) {
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(matrix.rows * matrix.cols));
  for (std::int64_t row = 0; row < matrix.rows; ++row) {
    for (std::int64_t col = 0; col < matrix.cols; ++col) values.push_back(element(matrix, row * matrix.stride + col));
  }
  return values;
}

}  // namespace millrace::engine
