// Mixture of experts. The (row, expert) pairs are grouped by slot, so each expert's weights are read once per call. Two
// parallel passes: over panels of gate and up, which also applies silu(gate) * up; then over columns of the output,
// where each task adds all slots' contributions to its own columns, in the order of slots, so that no two tasks meet
// and the sum has one order.
#pragma once

#include "engine/backend/cpu/fast_math.h"
#include "engine/backend/cpu/fast_panels.h"

namespace millrace::engine::cpu::fast {

struct Assignment {
  std::int32_t row = 0;
  float weight = 0.0F;
};

// Some rows of one slot.
struct SlotTile {
  const Assignment* rows = nullptr;
  int count = 0;
  float* x = nullptr;       // interleaved rows
  float* hidden = nullptr;  // interleaved silu(gate) * up
};

// A slot that has rows.
struct ActiveSlot {
  std::int64_t slot = 0;
  const SlotTile* tiles = nullptr;
  std::int64_t tile_count = 0;
};

struct ActiveSlots {
  const ActiveSlot* slots = nullptr;
  std::int64_t count = 0;
};

// Counting sort of the pairs by slot; pairs of other ranks are left out. Returns all assignments in order of slot and
// fills begin (slots + 1).
inline const Assignment* group_by_slot(Context& context, std::int64_t slots, const ExpertMap& map, const Tensor& ids,
                                       const Tensor& weights, std::int64_t* begin) {
  auto* grouped = context.arena->take<Assignment>(static_cast<std::size_t>(ids.rows * ids.cols));
  for (std::int64_t s = 0; s <= slots; ++s) begin[s] = 0;
  for (std::int64_t t = 0; t < ids.rows; ++t) {
    for (std::int64_t i = 0; i < ids.cols; ++i) {
      const std::int64_t slot = local_slot(map, t, int_row(ids, t)[i]);
      if (slot >= 0) ++begin[slot + 1];
    }
  }
  for (std::int64_t s = 0; s < slots; ++s) begin[s + 1] += begin[s];
  auto* next = context.arena->take<std::int64_t>(static_cast<std::size_t>(slots));
  for (std::int64_t s = 0; s < slots; ++s) next[s] = begin[s];
  for (std::int64_t t = 0; t < ids.rows; ++t) {
    for (std::int64_t i = 0; i < ids.cols; ++i) {
      const std::int64_t slot = local_slot(map, t, int_row(ids, t)[i]);
      if (slot >= 0) grouped[next[slot]++] = {static_cast<std::int32_t>(t), float_row(weights, t)[i]};
    }
  }
  return grouped;
}

template <class S>
SlotTile* add_tiles(Context& context, const ExpertShape& shape, const Assignment* rows, std::int64_t count,
                    SlotTile* to) {
  const std::int64_t even_hidden = (shape.hidden + 1) / 2 * 2;
  const std::int64_t padded_width = (shape.intermediate + kPanelRows - 1) / kPanelRows * kPanelRows;
  const Tiling tiling = tile_rows<S>(count);
  for (std::int64_t i = 0; i < tiling.tiles(); ++i) {
    const int height = tiling.count(i);
    *to++ = {rows + tiling.begin(i), height,
             context.arena->take<float>(static_cast<std::size_t>(even_hidden * height + S::kWidth)),
             context.arena->take<float>(static_cast<std::size_t>(padded_width * height))};
  }
  return to;
}

template <class S>
ActiveSlots gather_rows(Context& context, const ExpertShape& shape, const ExpertMap& map, const Tensor& x,
                        const Tensor& ids, const Tensor& weights) {
  auto* begin = context.arena->take<std::int64_t>(static_cast<std::size_t>(shape.slots + 1));
  const Assignment* grouped = group_by_slot(context, shape.slots, map, ids, weights, begin);
  std::int64_t tile_count = 0;
  for (std::int64_t s = 0; s < shape.slots; ++s) tile_count += tile_rows<S>(begin[s + 1] - begin[s]).tiles();
  auto* tiles = context.arena->take<SlotTile>(static_cast<std::size_t>(tile_count));
  auto* active = context.arena->take<ActiveSlot>(static_cast<std::size_t>(shape.slots));
  ActiveSlots result{active, 0};
  SlotTile* next = tiles;
  for (std::int64_t s = 0; s < shape.slots; ++s) {
    if (begin[s] == begin[s + 1]) continue;
    SlotTile* first = next;
    next = add_tiles<S>(context, shape, grouped + begin[s], begin[s + 1] - begin[s], first);
    active[result.count++] = {s, first, next - first};
  }
  context.pool->run(tile_count, [&](std::int64_t i, std::int32_t) {
    const SlotTile& tile = tiles[i];
    interleave<S>([&](int r) { return float_row(x, tile.rows[r].row); }, tile.count, x.cols, (x.cols + 1) / 2 * 2,
                  tile.x);
  });
  return result;
}

// hidden[column, row] of 16 columns = silu(gate) * up, from sums [gate | up][row][16].
template <class S>
void store_hidden(const float* sums, int rows, float* hidden) {
  float values[kPanelRows];
  for (int r = 0; r < rows; ++r) {
    const float* gate = sums + r * kPanelRows;
    const float* up = gate + rows * kPanelRows;
    for (int c = 0; c < static_cast<int>(kPanelRows); c += S::kWidth) {
      S::store(values + c, S::mul(silu<S>(S::load(gate + c)), S::load(up + c)));
    }
    for (int c = 0; c < static_cast<int>(kPanelRows); ++c) hidden[c * rows + r] = values[c];
  }
}

template <class S>
void add_weighted(const float* sums, std::int64_t width, float weight, float* to) {
  for_vectors<S>(width, [&](long i, int lanes) {
    S::store_first(to + i, S::fma(S::all(weight), S::load(sums + i), S::load_first(to + i, lanes)), lanes);
  });
}

constexpr std::int64_t kExpertPanels = 8;  // of a task; even, so that gate and up stay together

struct Scratch {
  float* data = nullptr;
  std::int64_t size = 0;  // of one worker

  float* of(std::int32_t worker) const { return data + worker * size; }
};

template <class S>
void run_gate_up(Context& context, const Experts& experts, const ActiveSlots& active, const Scratch& scratch) {
  const PanelTasks chunks{2 * ((experts.shape().intermediate + kPanelRows - 1) / kPanelRows), kExpertPanels};
  context.pool->run(active.count * chunks.tasks(), [&](std::int64_t task, std::int32_t worker) {
    const ActiveSlot& slot = active.slots[task / chunks.tasks()];
    const std::int64_t first = chunks.begin(task % chunks.tasks());
    const std::int64_t count = chunks.count(task % chunks.tasks());
    const PanelView weights = experts.gate_up(slot.slot);
    float* sums = scratch.of(worker);
    for (std::int64_t i = 0; i < slot.tile_count; ++i) {
      const SlotTile& tile = slot.tiles[i];
      multiply_panels<S>(weights, first, count, tile.x, tile.count, next_columns(weights.shape.dtype), sums);
      for (std::int64_t p = 0; p < count; p += 2) {
        store_hidden<S>(sums + p * tile.count * kPanelRows, tile.count,
                        tile.hidden + (first + p) / 2 * kPanelRows * tile.count);
      }
    }
  });
}

template <class S>
void zero_columns(const Tensor& out, std::int64_t column, std::int64_t width) {
  for (std::int64_t t = 0; t < out.rows; ++t) {
    float* to = float_row(out, t) + column;
    for_vectors<S>(width, [&](long i, int lanes) { S::store_first(to + i, S::zero(), lanes); });
  }
}

// Adds a tile's sums, [panel][row][16], to `width` columns of its rows.
template <class S>
void add_tile(const SlotTile& tile, const float* sums, std::int64_t column, std::int64_t width, const Tensor& out) {
  for (int r = 0; r < tile.count; ++r) {
    float* to = float_row(out, tile.rows[r].row) + column;
    for (std::int64_t c = 0; c < width; c += kPanelRows) {
      const std::int64_t left = width - c;
      add_weighted<S>(sums + c * tile.count + r * kPanelRows, left < kPanelRows ? left : kPanelRows,
                      tile.rows[r].weight, to + c);
    }
  }
}

template <class S>
void run_down(Context& context, const Experts& experts, const ActiveSlots& active, const Scratch& scratch,
              const Tensor& out) {
  const PanelTasks chunks{(experts.shape().hidden + kPanelRows - 1) / kPanelRows, kExpertPanels};
  context.pool->run(chunks.tasks(), [&](std::int64_t chunk, std::int32_t worker) {
    const std::int64_t column = chunks.begin(chunk) * kPanelRows;
    const std::int64_t all = chunks.count(chunk) * kPanelRows;
    const std::int64_t width = out.cols - column < all ? out.cols - column : all;
    float* sums = scratch.of(worker);
    zero_columns<S>(out, column, width);
    for (std::int64_t s = 0; s < active.count; ++s) {
      const PanelView weights = experts.down(active.slots[s].slot);
      for (std::int64_t i = 0; i < active.slots[s].tile_count; ++i) {
        const SlotTile& tile = active.slots[s].tiles[i];
        multiply_panels<S>(weights, chunks.begin(chunk), chunks.count(chunk), tile.hidden, tile.count,
                           next_columns(weights.shape.dtype), sums);
        add_tile<S>(tile, sums, column, width, out);
      }
    }
  });
}

template <class S>
void experts(Context& context, const Experts& experts, const ExpertMap& map, const Tensor& x, const Tensor& ids,
             const Tensor& weights, const Tensor& out) {
  const ActiveSlots active = gather_rows<S>(context, experts.shape(), map, x, ids, weights);
  Scratch scratch{nullptr, kExpertPanels * S::kMaxTileRows * kPanelRows};
  scratch.data = context.arena->take<float>(static_cast<std::size_t>(scratch.size * context.pool->threads()));
  run_gate_up<S>(context, experts, active, scratch);
  run_down<S>(context, experts, active, scratch, out);
}

}  // namespace millrace::engine::cpu::fast
