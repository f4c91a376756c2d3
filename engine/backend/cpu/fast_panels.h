// The product of a tile of activation rows and panels of packed weights, under every linear layer and expert.
//
// The activations of a tile are interleaved (column by column, the rows side by side), so each column of a panel is one
// vector load and each activation one broadcast; sums stay in registers and no lane is ever added to another. 16-bit
// weights become floats in registers by a shift or a mask. Every output adds its products in order of columns, in
// blocks of kSumBlock, whatever the tile, so a row's result does not depend on the batch it is in.
#pragma once

#include "engine/backend/cpu/kernels.h"

namespace millrace::engine::cpu::fast {

constexpr std::int64_t kSumBlock = 512;  // columns; a multiple of 2

// Which weights a pass over panels fetches from memory beside its own work: those `distance` bytes further on, of which
// it covers `step` bytes for each pair of columns it multiplies.
struct Ahead {
  std::int64_t distance = 0;
  std::int64_t step = 0;
};

// Sums of `panels` panels and `rows` rows, [panel][row][16].
using Sums = float*;

template <class S, DType W>
[[gnu::always_inline]] inline void load_pair(const std::byte* p, typename S::Pair& w) {
  if constexpr (W == DType::kBF16) {
    S::load_bf16(p, w);
  } else if constexpr (W == DType::kF16) {
    S::load_f16(p, w);
  } else {
    S::load_f32(p, w);
  }
}

// x: (even columns, Rows) interleaved. first: the weights' first column of the first panel.
template <class S, DType W, int Rows, int Panels>
void multiply_tile(const std::byte* first, std::int64_t panel_bytes, std::int64_t even_cols, const float* x,
                   const Ahead& ahead, Sums sums) {
  constexpr int kVecs = static_cast<int>(kPanelRows) / S::kWidth;
  constexpr std::int64_t kPairBytes = 2 * kPanelRows * static_cast<std::int64_t>(size_of(W));
  for (std::int64_t begin = 0; begin < even_cols; begin += kSumBlock) {
    const std::int64_t end = begin + kSumBlock < even_cols ? begin + kSumBlock : even_cols;
    typename S::Vec acc[Panels][Rows][kVecs];
    for (auto& panel : acc) {
      for (auto& row : panel) {
        for (auto& vec : row) vec = S::zero();
      }
    }
    const std::byte* w = first + begin / 2 * kPairBytes;
    const std::byte* next = first + ahead.distance + begin / 2 * ahead.step;
    const float* xs = x + begin * Rows;
    for (std::int64_t c = begin; c < end; c += 2, w += kPairBytes, xs += 2 * Rows, next += ahead.step) {
      typename S::Pair pair[Panels];
#pragma GCC unroll 4
      for (int p = 0; p < Panels; ++p) {
        load_pair<S, W>(w + p * panel_bytes, pair[p]);
        S::prefetch(next + p * panel_bytes);
      }
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        typename S::Vec even = S::all(xs[r]);
#pragma GCC unroll 4
        for (int p = 0; p < Panels; ++p) {
#pragma GCC unroll 2
          for (int v = 0; v < kVecs; ++v) acc[p][r][v] = S::fma(pair[p].even[v], even, acc[p][r][v]);
        }
      }
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        typename S::Vec odd = S::all(xs[Rows + r]);
#pragma GCC unroll 4
        for (int p = 0; p < Panels; ++p) {
#pragma GCC unroll 2
          for (int v = 0; v < kVecs; ++v) acc[p][r][v] = S::fma(pair[p].odd[v], odd, acc[p][r][v]);
        }
      }
    }
    float* to = sums;
    for (int p = 0; p < Panels; ++p) {
      for (int r = 0; r < Rows; ++r) {
        for (int v = 0; v < kVecs; ++v, to += S::kWidth) {
          S::store(to, begin == 0 ? acc[p][r][v] : S::add(S::load(to), acc[p][r][v]));
        }
      }
    }
  }
}

using TileFn = void (*)(const std::byte* first, std::int64_t panel_bytes, std::int64_t even_cols, const float* x,
                        const Ahead& ahead, Sums sums);

struct TileKernel {
  TileFn wide = nullptr;  // tile_panels(rows) panels at once
  TileFn single = nullptr;
};

// Entry `rows` of the table of one weight type; entry 0 is unused.
template <class S, DType W, int... Rows>
struct TileTable {
  static constexpr TileKernel kTiles[] = {
      {}, {multiply_tile<S, W, Rows, S::tile_panels(Rows)>, multiply_tile<S, W, Rows, 1>}...};
};

template <class S, DType W>
const TileKernel& tile_kernel(int rows) {
  if constexpr (S::kMaxTileRows == 6) {
    return TileTable<S, W, 1, 2, 3, 4, 5, 6>::kTiles[rows];
  } else {
    return TileTable<S, W, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14>::kTiles[rows];
  }
}

template <class S>
const TileKernel& tile_kernel(DType dtype, int rows) {
  switch (dtype) {
    case DType::kBF16:
      return tile_kernel<S, DType::kBF16>(rows);
    case DType::kF16:
      return tile_kernel<S, DType::kF16>(rows);
    default:
      return tile_kernel<S, DType::kF32>(rows);
  }
}

inline std::int64_t pair_bytes(DType dtype) {
  return 2 * kPanelRows * static_cast<std::int64_t>(size_of(dtype));
}

// For a single pass over the weights: a little ahead on the same panels.
inline Ahead next_columns(DType dtype) {
  return {2048, pair_bytes(dtype)};
}

// For pass `pass` of `passes` over a group of panels: an equal share of the next group, so that memory is busy in every
// pass and not in the first alone.
inline Ahead next_group(const PanelShape& shape, std::int64_t group, std::int64_t pass, std::int64_t passes) {
  return {group * shape.panel_bytes() + pass * shape.panel_bytes() / passes, pair_bytes(shape.dtype) / passes};
}

// sums[panel - first] = weights of the panels times the tile x of `rows` rows.
template <class S>
void multiply_panels(const PanelView& weight, std::int64_t first, std::int64_t count, const float* x, int rows,
                     const Ahead& ahead, Sums sums) {
  const TileKernel& kernel = tile_kernel<S>(weight.shape.dtype, rows);
  const std::int64_t bytes = weight.shape.panel_bytes();
  const std::int64_t cols = weight.shape.even_cols();
  const int wide = S::tile_panels(rows);
  std::int64_t p = 0;
  for (; p + wide <= count; p += wide) {
    kernel.wide(weight.panel(first + p), bytes, cols, x, ahead, sums + p * rows * kPanelRows);
  }
  for (; p < count; ++p) kernel.single(weight.panel(first + p), bytes, cols, x, ahead, sums + p * rows * kPanelRows);
}

// ---- tiles of activations
// --------------------------------------------------------------------------------------------

// How `rows` activation rows are cut into tiles.
struct Tiling {
  std::int64_t rows = 0;
  int bulk = 1;  // rows of every tile but the last

  std::int64_t tiles() const { return (rows + bulk - 1) / bulk; }
  std::int64_t begin(std::int64_t tile) const { return tile * bulk; }
  int count(std::int64_t tile) const {
    std::int64_t left = rows - begin(tile);
    return static_cast<int>(left < bulk ? left : bulk);
  }
};

// The fewest tiles, of nearly equal height: 16 rows run faster as 8 + 8 than as 14 + 2.
template <class S>
Tiling tile_rows(std::int64_t rows) {
  if (rows == 0) return {0, 1};
  const std::int64_t tiles = (rows + S::kMaxTileRows - 1) / S::kMaxTileRows;
  return {rows, static_cast<int>((rows + tiles - 1) / tiles)};
}

// Interleaves `count` <= kWidth rows of `cols` floats (row r at `row(r)`) to to[col * count + r], with zeros up to
// even_cols. Each store writes a whole vector, whose excess the next column overwrites: the last one ends up to kWidth
// floats beyond.
template <class S, class RowOf>
void interleave(const RowOf& row, int count, std::int64_t cols, std::int64_t even_cols, float* to) {
  constexpr int kW = S::kWidth;
  std::int64_t c = 0;
  for (; c + kW <= cols; c += kW) {
    typename S::Vec block[kW];
#pragma GCC unroll 16
    for (int r = 0; r < kW; ++r) block[r] = r < count ? S::load(row(r) + c) : S::zero();
    S::transpose(block);
#pragma GCC unroll 16
    for (int i = 0; i < kW; ++i) S::store(to + (c + i) * count, block[i]);
  }
  for (; c < even_cols; ++c) {
    for (int r = 0; r < count; ++r) to[c * count + r] = c < cols ? row(r)[c] : 0.0F;
  }
}

// The tiles of an activation matrix, in the order of its rows.
struct Tiles {
  Tiling tiling;
  const float* data = nullptr;
  std::int64_t stride = 0;  // floats from tile to tile

  const float* at(std::int64_t tile) const { return data + tile * stride; }
};

template <class S>
Tiles interleave_rows(Context& context, const Tensor& x) {
  Tiles tiles{tile_rows<S>(x.rows), float_row(x, 0), 0};
  if (x.rows == 1 && x.cols % 2 == 0) return tiles;  // a single row is its own tile
  const std::int64_t even_cols = (x.cols + 1) / 2 * 2;
  tiles.stride = even_cols * tiles.tiling.bulk + S::kWidth;
  auto* to = context.arena->take<float>(static_cast<std::size_t>(tiles.stride * tiles.tiling.tiles()));
  tiles.data = to;
  context.pool->run(tiles.tiling.tiles(), [&](std::int64_t tile, std::int32_t) {
    const std::int64_t first = tiles.tiling.begin(tile);
    interleave<S>([&](int r) { return float_row(x, first + r); }, tiles.tiling.count(tile), x.cols, even_cols,
                  to + tile * tiles.stride);
  });
  return tiles;
}

// How the panels of a matrix are divided into tasks.
struct PanelTasks {
  std::int64_t panels = 0;
  std::int64_t per_task = 1;

  std::int64_t tasks() const { return (panels + per_task - 1) / per_task; }
  std::int64_t begin(std::int64_t task) const { return task * per_task; }
  std::int64_t count(std::int64_t task) const {
    std::int64_t left = panels - begin(task);
    return left < per_task ? left : per_task;
  }
};

// A task's weights should stay in the second-level cache while its tiles pass, and there should be enough tasks for the
// threads to end together.
inline PanelTasks divide_panels(const PanelShape& shape, std::int64_t multiple_of, std::int32_t threads) {
  constexpr std::int64_t kTaskBytes = 512 << 10;
  const std::int64_t panels = shape.panels();
  std::int64_t count = kTaskBytes / shape.panel_bytes();
  const std::int64_t fair = panels / (4 * threads);
  if (threads > 1 && count > fair) count = fair;
  count = count / multiple_of * multiple_of;
  return {panels, count < multiple_of ? multiple_of : count};
}

}  // namespace millrace::engine::cpu::fast
