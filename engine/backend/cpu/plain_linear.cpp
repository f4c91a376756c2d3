// out = x W^T + bias, and the embedding lookup, on packed weights.
#include <algorithm>
#include <cstring>

#include "engine/backend/cpu/half.h"
#include "engine/backend/cpu/plain.h"

namespace millrace::engine::cpu::plain {
namespace {

constexpr std::int64_t kBlock = 512;  // partial sums of this length keep the rounding error of long rows small

std::int64_t offset_in_panel(DType dtype, std::int64_t row, std::int64_t col) {
  if (dtype == DType::kBF16) return (col / 2 * kPanelRows + row) * 2 + col % 2;
  return col * kPanelRows + row;
}

float load(DType dtype, const std::byte* panel, std::int64_t offset) {
  if (dtype == DType::kF32) return reinterpret_cast<const float*>(panel)[offset];
  std::uint16_t bits = reinterpret_cast<const std::uint16_t*>(panel)[offset];
  return dtype == DType::kBF16 ? bf16_to_float(bits) : f16_to_float(bits);
}

void store_panel(const float* sums, const float* bias, std::int64_t first, std::int64_t rows, float* out) {
  for (std::int64_t r = 0; r < kPanelRows && first + r < rows; ++r) {
    out[first + r] = sums[r] + (bias == nullptr ? 0.0F : bias[first + r]);
  }
}

}  // namespace

float element(const PanelView& weight, std::int64_t row, std::int64_t col) {
  DType dtype = weight.shape.dtype;
  return load(dtype, weight.panel(row / kPanelRows), offset_in_panel(dtype, row % kPanelRows, col));
}

void multiply_panel(const PanelView& weight, std::int64_t panel, const float* x, float* out) {
  DType dtype = weight.shape.dtype;
  const std::byte* data = weight.panel(panel);
  std::fill(out, out + kPanelRows, 0.0F);
  for (std::int64_t begin = 0; begin < weight.shape.cols; begin += kBlock) {
    float sums[kPanelRows] = {};
    for (std::int64_t c = begin; c < std::min(begin + kBlock, weight.shape.cols); ++c) {
      for (std::int64_t r = 0; r < kPanelRows; ++r) sums[r] += load(dtype, data, offset_in_panel(dtype, r, c)) * x[c];
    }
    for (std::int64_t r = 0; r < kPanelRows; ++r) out[r] += sums[r];
  }
}

void linear(Context&, const PanelView& weight, const float* bias, const Tensor& x, const Tensor& out) {
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t p = 0; p < weight.shape.panels(); ++p) {
      float sums[kPanelRows];
      multiply_panel(weight, p, float_row(x, t), sums);
      store_panel(sums, bias, p * kPanelRows, weight.shape.rows, float_row(out, t));
    }
  }
}

void embed(Context& context, const PanelView& table, std::int64_t first_row, const Tensor& out) {
  for (std::int64_t t = 0; t < out.rows; ++t) {
    std::int64_t row = context.step->token_ids[static_cast<std::size_t>(t)] - first_row;
    bool here = row >= 0 && row < table.shape.rows;
    for (std::int64_t c = 0; c < out.cols; ++c) float_row(out, t)[c] = here ? element(table, row, c) : 0.0F;
  }
}

}  // namespace millrace::engine::cpu::plain
