// out = x W^T + bias. Tasks are runs of panels, whose weights are read from memory once per call: a decode step runs at
// the speed of memory, a prefill at that of the FMA units. Many tiles of rows (prefill) each pass over the whole run,
// which stays in the cache. Few tiles (decode of a batch) take turns on small groups of panels, and each fetches a part
// of the next group.
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

struct LinearJob {
  const PanelView& weight;
  const float* bias;
  const Tiles& tiles;
  const Tensor& out;
};

// Panels [first, first + count) of all tiles' rows.
template <class S>
void multiply_group(const LinearJob& job, std::int64_t first, std::int64_t count, bool few_tiles, float* sums) {
  const Tiling& tiling = job.tiles.tiling;
  const PanelShape& shape = job.weight.shape;
  for (std::int64_t tile = 0; tile < tiling.tiles(); ++tile) {
    const int rows = tiling.count(tile);
    const Ahead ahead = few_tiles ? next_group(shape, count, tile, tiling.tiles()) : next_columns(shape.dtype);
    multiply_panels<S>(job.weight, first, count, job.tiles.at(tile), rows, ahead, sums);
    for (std::int64_t p = 0; p < count; ++p) {
      const std::int64_t column = (first + p) * kPanelRows;
      const std::int64_t left = shape.rows - column;
      for (int r = 0; r < rows; ++r) {
        store_sums<S>(sums + (p * rows + r) * kPanelRows, job.bias == nullptr ? nullptr : job.bias + column,
                      left < kPanelRows ? left : kPanelRows, float_row(job.out, tiling.begin(tile) + r) + column);
      }
    }
  }
}

template <class S>
void linear(Context& context, const PanelView& weight, const float* bias, const Tensor& x, const Tensor& out) {
  constexpr std::int64_t kFewTiles = 4;
  const Tiles tiles = interleave_rows<S>(context, x);
  const std::int64_t tile_count = tiles.tiling.tiles();
  const bool few_tiles = tile_count > 1 && tile_count <= kFewTiles;
  const std::int64_t wide = S::tile_panels(tiles.tiling.bulk);
  const PanelTasks tasks = divide_panels(weight.shape, wide, context.pool->threads());
  const std::int64_t group = few_tiles ? wide : tasks.per_task;
  const std::int64_t sums_size = group * tiles.tiling.bulk * kPanelRows;
  auto* scratch = context.arena->take<float>(static_cast<std::size_t>(sums_size * context.pool->threads()));
  const LinearJob job{weight, bias, tiles, out};
  context.pool->run(tasks.tasks(), [&](std::int64_t task, std::int32_t worker) {
    const std::int64_t end = tasks.begin(task) + tasks.count(task);
    for (std::int64_t p = tasks.begin(task); p < end; p += group) {
      multiply_group<S>(job, p, end - p < group ? end - p : group, few_tiles, scratch + worker * sums_size);
    }
  });
}

}  // namespace millrace::engine::cpu::fast
