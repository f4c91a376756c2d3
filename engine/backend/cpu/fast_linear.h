// out = x W^T + bias. Tasks are runs of panels; each passes all tiles of rows over its panels while these are in the
// cache, so the weights are read from memory once per call: a decode step runs at the speed of memory, a prefill at
// that of the FMA units.
#pragma once

#include "engine/backend/cpu/fast_panels.h"

namespace millrace::engine::cpu::fast {

template <class S>
void store_sums(const float* sums, const float* bias, std::int64_t width, float* to) {
  constexpr int kW = S::kWidth;
  for (std::int64_t c = 0; c < width; c += kW) {
    const int here = width - c < kW ? static_cast<int>(width - c) : kW;
    typename S::Vec v = S::load(sums + c);
    if (bias != nullptr) v = S::add(v, S::load_first(bias + c, here));
    S::store_first(to + c, v, here);
  }
}

template <class S>
void linear(Context& context, const PanelView& weight, const float* bias, const Tensor& x, const Tensor& out) {
  const Tiles tiles = interleave_rows<S>(context, x);
  const PanelTasks tasks = divide_panels(weight.shape, S::tile_panels(tiles.tiling.bulk), context.pool->threads());
  const std::int64_t sums_size = tasks.per_task * tiles.tiling.bulk * kPanelRows;
  auto* scratch = context.arena->take<float>(static_cast<std::size_t>(sums_size * context.pool->threads()));
  context.pool->run(tasks.tasks(), [&](std::int64_t task, std::int32_t worker) {
    float* sums = scratch + worker * sums_size;
    const std::int64_t first = tasks.begin(task);
    const std::int64_t count = tasks.count(task);
    for (std::int64_t tile = 0; tile < tiles.tiling.tiles(); ++tile) {
      const int rows = tiles.tiling.count(tile);
      multiply_panels<S>(weight, first, count, tiles.at(tile), rows, sums);
      for (std::int64_t p = 0; p < count; ++p) {
        const std::int64_t column = (first + p) * kPanelRows;
        const std::int64_t left = weight.shape.rows - column;
        const std::int64_t width = left < kPanelRows ? left : kPanelRows;
        for (int r = 0; r < rows; ++r) {
          store_sums<S>(sums + (p * rows + r) * kPanelRows, bias == nullptr ? nullptr : bias + column, width,
                        float_row(out, tiles.tiling.begin(tile) + r) + column);
        }
      }
    }
  });
}

}  // namespace millrace::engine::cpu::fast
