// Builders and checks shared by the back-end tests.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "common/error.h"
#include "engine/backend/backend.h"

namespace millrace::engine::test {

// Host matrix of floats, row-major.
struct Matrix {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<float> values;

  Matrix() = default;
  Matrix(std::int64_t r, std::int64_t c) : rows(r), cols(c), values(static_cast<std::size_t>(r * c)) {}
  float& at(std::int64_t r, std::int64_t c) { return values[static_cast<std::size_t>(r * cols + c)]; }
  float at(std::int64_t r, std::int64_t c) const { return values[static_cast<std::size_t>(r * cols + c)]; }
  const float* row(std::int64_t r) const { return values.data() + r * cols; }
};

// Standard normal times `scale`.
Matrix random_matrix(std::int64_t rows, std::int64_t cols, std::uint64_t seed, float scale = 1.0F);
Matrix rows_of(const Matrix& m, std::int64_t begin, std::int64_t count);

// A checkpoint matrix: bytes as stored, and the floats they mean.
struct Stored {
  Matrix exact;
  DType dtype = DType::kF32;
  std::vector<std::byte> bytes;
  HostMatrix view() const { return {bytes.data(), dtype, exact.rows, exact.cols, exact.cols}; }
};
Stored stored(const Matrix& matrix, DType dtype);
Stored random_stored(std::int64_t rows, std::int64_t cols, DType dtype, std::uint64_t seed, float scale = 1.0F);

// Device copies. `gap` unused columns stand between rows and hold NaN: a kernel that reads or keeps them shows.
DeviceTensor put(Backend& backend, const Matrix& matrix, std::int64_t gap = 0);
DeviceTensor zeros(Backend& backend, std::int64_t rows, std::int64_t cols, std::int64_t gap = 0);
DeviceTensor put_ints(Backend& backend, std::int64_t rows, std::int64_t cols, const std::vector<std::int32_t>& values);
Matrix get(Backend& backend, const Tensor& tensor);
std::vector<std::int32_t> get_ints(Backend& backend, const Tensor& tensor);

// max |actual - expected| <= tolerance * max |expected|.
void expect_close(const Matrix& actual, const Matrix& expected, double tolerance, const std::string& what = "");

// A step over sequences with `context[s]` cached and `fresh[s]` new tokens. Blocks are given out in a shuffled order,
// slots are s + 1. A second step of the same sequences continues with the same blocks.
class StepBuilder {
 public:
  StepBuilder(std::int64_t block_size, std::int64_t max_context, std::size_t seqs, std::uint64_t seed = 7);
  StepInputs next(const std::vector<std::int64_t>& fresh);
  std::int64_t blocks() const { return blocks_; }
  std::vector<std::int32_t> context() const { return context_; }

 private:
  std::int64_t blocks_;
  StepInputs base_;
  std::vector<std::int32_t> context_;
};

// Names of the instruction-set paths that this machine runs, "plain" among them.
std::vector<std::string> isa_paths();

class EveryPath : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Backend> make(std::int32_t threads = 2) const {
    return create_backend("cpu", {.threads = threads, .isa = GetParam()});
  }
};

inline double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}
inline double silu(double x) {
  return x * sigmoid(x);
}

#define MILLRACE_ON_EVERY_PATH(suite)                                                              \
  INSTANTIATE_TEST_SUITE_P(Isa, suite, ::testing::ValuesIn(::millrace::engine::test::isa_paths()), \
                           [](const auto& info) { return info.param; })

}  // namespace millrace::engine::test
