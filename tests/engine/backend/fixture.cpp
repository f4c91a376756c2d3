#include "tests/engine/backend/fixture.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

namespace millrace::engine::test {
namespace {

std::uint16_t to_bf16(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

// Halves through the compiler's own type, so that the back end's conversion is checked against another.
std::uint16_t to_f16(float value) {
  auto half = static_cast<_Float16>(value);
  std::uint16_t bits;
  std::memcpy(&bits, &half, sizeof(bits));
  return bits;
}

float from_f16(std::uint16_t bits) {
  _Float16 half;
  std::memcpy(&half, &bits, sizeof(bits));
  return static_cast<float>(half);
}

}  // namespace

Matrix random_matrix(std::int64_t rows, std::int64_t cols, std::uint64_t seed, float scale) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  Matrix matrix(rows, cols);
  for (float& value : matrix.values) value = normal(generator);
  return matrix;
}

Matrix rows_of(const Matrix& m, std::int64_t begin, std::int64_t count) {
  Matrix out(count, m.cols);
  std::copy_n(m.row(begin), count * m.cols, out.values.begin());
  return out;
}

Stored stored(const Matrix& matrix, DType dtype) {
  Stored result{matrix, dtype, std::vector<std::byte>(matrix.values.size() * size_of(dtype))};
  for (std::size_t i = 0; i < matrix.values.size(); ++i) {
    float& value = result.exact.values[i];
    std::byte* to = result.bytes.data() + i * size_of(dtype);
    if (dtype == DType::kF32) {
      std::memcpy(to, &value, sizeof(value));
      continue;
    }
    std::uint16_t bits = dtype == DType::kBF16 ? to_bf16(value) : to_f16(value);
    value = dtype == DType::kBF16 ? from_bf16(bits) : from_f16(bits);
    std::memcpy(to, &bits, sizeof(bits));
  }
  return result;
}

Stored random_stored(std::int64_t rows, std::int64_t cols, DType dtype, std::uint64_t seed, float scale) {
  return stored(random_matrix(rows, cols, seed, scale), dtype);
}

DeviceTensor zeros(Backend& backend, std::int64_t rows, std::int64_t cols, std::int64_t gap) {
  DeviceTensor tensor = backend.allocate(rows, cols + gap, DType::kF32);
  if (gap > 0) {
    Matrix poison(rows, cols + gap);
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = cols; c < cols + gap; ++c) poison.at(r, c) = std::numeric_limits<float>::quiet_NaN();
    }
    backend.upload(tensor.view, poison.values.data());
  }
  tensor.view = tensor.view.columns(0, cols);
  return tensor;
}

DeviceTensor put(Backend& backend, const Matrix& matrix, std::int64_t gap) {
  DeviceTensor tensor = zeros(backend, matrix.rows, matrix.cols, gap);
  backend.upload(tensor.view, matrix.values.data());
  return tensor;
}

DeviceTensor put_ints(Backend& backend, std::int64_t rows, std::int64_t cols, const std::vector<std::int32_t>& values) {
  DeviceTensor tensor = backend.allocate(rows, cols, DType::kI32);
  backend.upload(tensor.view, values.data());
  return tensor;
}

Matrix get(Backend& backend, const Tensor& tensor) {
  Matrix matrix(tensor.rows, tensor.cols);
  backend.download(tensor, matrix.values.data());
  return matrix;
}

std::vector<std::int32_t> get_ints(Backend& backend, const Tensor& tensor) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(tensor.rows * tensor.cols));
  backend.download(tensor, values.data());
  return values;
}

void expect_close(const Matrix& actual, const Matrix& expected, double tolerance, const std::string& what) {
  ASSERT_EQ(actual.rows, expected.rows) << what;
  ASSERT_EQ(actual.cols, expected.cols) << what;
  double largest = 0.0;
  double worst = 0.0;
  std::size_t where = 0;
  for (std::size_t i = 0; i < actual.values.size(); ++i) {
    double difference = std::abs(static_cast<double>(actual.values[i]) - expected.values[i]);
    largest = std::max(largest, std::abs(static_cast<double>(expected.values[i])));
    if (difference <= worst) continue;  // false for NaN, which is thereby kept as the worst
    worst = difference;
    where = i;
    if (std::isnan(difference)) break;
  }
  EXPECT_LE(worst, tolerance * largest) << what << ": at (" << where / static_cast<std::size_t>(expected.cols) << ", "
                                        << where % static_cast<std::size_t>(expected.cols) << ") got "
                                        << actual.values[where] << ", expected " << expected.values[where];
}

StepBuilder::StepBuilder(std::int64_t block_size, std::int64_t max_context, std::size_t seqs, std::uint64_t seed)
    : context_(seqs, 0) {
  base_.max_blocks = static_cast<std::int32_t>((max_context + block_size - 1) / block_size);
  blocks_ = base_.max_blocks * static_cast<std::int64_t>(seqs);
  base_.blocks.resize(static_cast<std::size_t>(blocks_));
  std::iota(base_.blocks.begin(), base_.blocks.end(), 0);
  std::shuffle(base_.blocks.begin(), base_.blocks.end(), std::mt19937_64(seed));
  for (std::size_t s = 0; s < seqs; ++s) base_.slots.push_back(static_cast<std::int32_t>(s + 1));
}

StepInputs StepBuilder::next(const std::vector<std::int64_t>& fresh) {
  StepInputs step = base_;
  step.context = context_;
  step.row_begin.push_back(0);
  for (std::size_t s = 0; s < fresh.size(); ++s) {
    for (std::int64_t i = 0; i < fresh[s]; ++i) {
      step.token_ids.push_back(0);
      step.positions.push_back(context_[s] + static_cast<std::int32_t>(i));
    }
    context_[s] += static_cast<std::int32_t>(fresh[s]);
    step.row_begin.push_back(static_cast<std::int32_t>(step.token_ids.size()));
  }
  return step;
}

std::vector<std::string> isa_paths() {
  std::vector<std::string> paths;
  for (const char* isa : {"plain", "avx2", "avx512"}) {
    try {
      create_backend("cpu", {.threads = 1, .isa = isa});
      paths.emplace_back(isa);
    } catch (const common::Error&) {  // not on this machine
    }
  }
  return paths;
}

}  // namespace millrace::engine::test
