// Weights of the CPU back end, in the precision of the checkpoint, rearranged so that one vector load brings the same
// column of 16 consecutive output rows: a kernel multiplies it by one broadcast activation and never sums across lanes.
//
// Layout: panels of 16 rows, one after the other; in a panel, pairs of columns; in a pair
//   BF16:      row 0 {c, c+1}, row 1 {c, c+1}, ... row 15 {c, c+1}   (a 32-bit lane splits by a shift and a mask)
//   F16, F32:  rows 0..15 of column c, then rows 0..15 of column c+1
// Rows beyond the last and the second column of an odd last pair are zero.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/memory.h"
#include "engine/backend/cpu/thread_pool.h"

namespace millrace::engine::cpu {

constexpr std::int64_t kPanelRows = 16;

struct PanelShape {
  DType dtype = DType::kBF16;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  std::int64_t panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  std::int64_t even_cols() const { return (cols + 1) / 2 * 2; }
  std::int64_t panel_bytes() const { return even_cols() * kPanelRows * static_cast<std::int64_t>(size_of(dtype)); }
  std::int64_t bytes() const { return panels() * panel_bytes(); }
};

// Not owning. All kernels see weights through this.
struct PanelView {
  PanelShape shape;
  const std::byte* data = nullptr;

  const std::byte* panel(std::int64_t p) const { return data + p * shape.panel_bytes(); }
};

// Where a panel row comes from; data null: the row is padding.
struct SourceRow {
  const std::byte* data = nullptr;
  DType dtype = DType::kBF16;
};
using PanelSources = std::array<SourceRow, kPanelRows>;

// Fills one panel. Sources have the panel's own type, or any type when the panel is F32.
void pack_panel(const PanelShape& shape, const PanelSources& sources, std::byte* panel);

class Linear final : public PackedLinear {
 public:
  // Allocates and packs; the type of the parts is kept, or F32 when they differ.
  Linear(std::span<const HostMatrix> parts, std::span<const float> bias, ThreadPool& pool);

  std::int64_t out_features() const override { return shape_.rows; }
  std::int64_t in_features() const override { return shape_.cols; }
  std::size_t bytes() const override { return memory_.bytes() + bias_.size() * sizeof(float); }

  PanelView view() const { return {shape_, memory_.data()}; }
  const float* bias() const { return bias_.empty() ? nullptr : bias_.data(); }  // (out_features) or null

 private:
  PanelShape shape_;
  Buffer memory_;
  std::vector<float> bias_;
};

// Per slot: gate and up as alternating panels of 16 rows (so that a task holds both halves of silu(gate) * up), then
// down. A slot takes its memory when it is first packed, and keeps it.
class Experts final : public PackedExperts {
 public:
  explicit Experts(const ExpertShape& shape) : shape_(shape), slots_(static_cast<std::size_t>(shape.slots)) {}

  const ExpertShape& shape() const override { return shape_; }
  std::size_t bytes() const override;

  // Replaces one slot; other slots may be read meanwhile.
  void pack(std::int64_t slot, const HostMatrix& gate, const HostMatrix& up, const HostMatrix& down);

  PanelView gate_up(std::int64_t slot) const;  // (2 * intermediate rounded up to panels, hidden)
  PanelView down(std::int64_t slot) const;     // (hidden, intermediate)

 private:
  struct Slot {
    PanelShape gate_up;
    PanelShape down;
    Buffer memory;
  };
  ExpertShape shape_;
  std::vector<Slot> slots_;
};

}  // namespace millrace::engine::cpu
