// Embedding lookup: one element out of every sixteen of a panel, copied with the weights' own type.
#pragma once

#include "engine/backend/cpu/fast_panels.h"

namespace millrace::engine::cpu::fast {

template <class S, DType W>
void copy_panel_row(const std::byte* panel, std::int64_t row, std::int64_t cols, float* to) {
  constexpr std::int64_t kPairBytes = 2 * kPanelRows * static_cast<std::int64_t>(size_of(W));
  float even[kPanelRows];
  float odd[kPanelRows];
  for (std::int64_t c = 0; c < cols; c += 2, panel += kPairBytes) {
    typename S::Pair pair;
    load_pair<S, W>(panel, pair);
    for (int v = 0; v < static_cast<int>(kPanelRows) / S::kWidth; ++v) {
      S::store(even + v * S::kWidth, pair.even[v]);
      S::store(odd + v * S::kWidth, pair.odd[v]);
    }
    to[c] = even[row];
    if (c + 1 < cols) to[c + 1] = odd[row];
  }
}

template <class S>
void embed(Context& context, const PanelView& table, std::int64_t first_row, const Tensor& out) {
  context.pool->run(out.rows, [&](std::int64_t t, std::int32_t) {
    const std::int64_t row = context.step->token_ids.data()[t] - first_row;
    float* to = float_row(out, t);
    if (row < 0 || row >= table.shape.rows) {
      for_vectors<S>(out.cols, [&](long i, int lanes) { S::store_first(to + i, S::zero(), lanes); });
      return;
    }
    const std::byte* panel = table.panel(row / kPanelRows);
    switch (table.shape.dtype) {
      case DType::kBF16:
        return copy_panel_row<S, DType::kBF16>(panel, row % kPanelRows, out.cols, to);
      case DType::kF16:
        return copy_panel_row<S, DType::kF16>(panel, row % kPanelRows, out.cols, to);
      default:
        return copy_panel_row<S, DType::kF32>(panel, row % kPanelRows, out.cols, to);
    }
  });
}

}  // namespace millrace::engine::cpu::fast
