// Scalar conversions from the two 16-bit floating-point types of checkpoints; exact.
#pragma once

#include <bit>
#include <cstdint>

namespace millrace::engine::cpu {

constexpr float bf16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

constexpr float f16_to_float(std::uint16_t bits) {
  std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  std::uint32_t exponent = (bits >> 10) & 0x1FU;
  std::uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0) {  // zero and subnormals: the value is mantissa * 2^-24, which a float holds exactly
    float magnitude = static_cast<float>(mantissa) * (1.0F / 16777216.0F);
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  std::uint32_t biased = exponent == 31 ? 255 : exponent + 112;  // infinity and NaN stay what they are
  return std::bit_cast<float>(sign | biased << 23 | mantissa << 13);
}

}  // namespace millrace::engine::cpu
