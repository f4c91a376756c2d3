// Views of device memory and of host weights. Model code passes them around and never looks inside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace millrace::engine {

enum class DType : std::uint8_t { kF32, kBF16, kF16, kI32 };

constexpr std::size_t size_of(DType dtype) {
  return dtype == DType::kBF16 || dtype == DType::kF16 ? 2 : 4;
}

// A matrix in device memory: `rows` x `cols`, rows `stride` elements apart. Not owning. `data` is a device address:
// only a Backend or a Comm dereferences it.
struct Tensor {
  std::byte* data = nullptr;
  DType dtype = DType::kF32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  bool empty() const { return rows == 0 || cols == 0; }
  Tensor columns(std::int64_t begin, std::int64_t count) const {
    return {data + begin * static_cast<std::int64_t>(size_of(dtype)), dtype, rows, count, stride};
  }
  Tensor first_rows(std::int64_t count) const { return {data, dtype, count, cols, stride}; }
  Tensor row_range(std::int64_t begin, std::int64_t count) const {
    return {data + begin * stride * static_cast<std::int64_t>(size_of(dtype)), dtype, count, cols, stride};
  }
};

// Owns device memory; the deleter belongs to the back end that allocated it, which must outlive it.
struct DeviceTensor {
  std::shared_ptr<void> memory;  // shared only so that the type-erased deleter travels with it
  Tensor view;
};

// A matrix of a checkpoint in host memory (usually memory-mapped), as stored: out x in, rows `stride` elements apart.
struct HostMatrix {
  const void* data = nullptr;
  DType dtype = DType::kBF16;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;
};

}  // namespace millrace::engine
