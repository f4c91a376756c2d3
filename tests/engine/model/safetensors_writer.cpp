#include "tests/engine/model/safetensors_writer.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "common/hash.h"

namespace millrace::engine::test {
namespace {

constexpr std::uint64_t kGamma = 0x9E3779B97F4A7C15U;

std::uint64_t splitmix64(std::uint64_t state) {
  std::uint64_t z = state + kGamma;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// Round to nearest even; values of tests are finite and below 65504.
std::uint16_t to_f16(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const float magnitude = std::fabs(value);
  if (magnitude == 0.0F) return sign;
  const int exponent = std::max(std::ilogb(magnitude), -14);
  const int units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));  // 1024..2048, or subnormal
  return static_cast<std::uint16_t>(sign + ((exponent + 14) << 10) + units);
}

template <typename Value>
void append(std::string& bytes, Value value) {
  char raw[sizeof(Value)];
  std::memcpy(raw, &value, sizeof(Value));
  bytes.append(raw, sizeof(Value));
}

}  // namespace

std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::string file;
  append(file, static_cast<std::uint64_t>(header.size()));
  return file + header + data;
}

std::string safetensors_bytes(const std::vector<TensorToWrite>& tensors) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const TensorToWrite& tensor : tensors) {
    const std::size_t begin = data.size();
    data += tensor.bytes;
    header[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  return safetensors_bytes(header.dump(), data);
}

std::string generated_bytes(std::uint64_t seed, const std::string& name, std::int64_t count, const std::string& dtype,
                            float offset, float scale) {
  const std::uint64_t start = common::fnv1a(name) ^ seed;
  std::string bytes;
  bytes.reserve(static_cast<std::size_t>(count) * 4);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t x = splitmix64(start + static_cast<std::uint64_t>(i) * kGamma);
    const float unit = static_cast<float>(static_cast<std::int64_t>(x >> 40) - 8388608) * 0x1p-23F;
    const float value = offset + scale * unit;
    if (dtype == "F32") {
      append(bytes, value);
    } else if (dtype == "BF16") {
      append(bytes, to_bf16(value));
    } else if (dtype == "F16") {
      append(bytes, to_f16(value));
    } else {
      throw std::invalid_argument("dtype " + dtype);
    }
  }
  return bytes;
}

}  // namespace millrace::engine::test
