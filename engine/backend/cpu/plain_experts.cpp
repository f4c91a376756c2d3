// Mixture of experts: out = sum over the local experts of weight * down(silu(gate x) * up x).
#include <algorithm>
#include <vector>

#include "engine/backend/cpu/plain.h"

namespace millrace::engine::cpu::plain {
namespace {

std::vector<float> expert_output(const Experts& experts, std::int64_t slot, const float* x) {
  const PanelView gate_up = experts.gate_up(slot);
  const PanelView down = experts.down(slot);
  std::vector<float> hidden(static_cast<std::size_t>(gate_up.shape.panels() / 2 * kPanelRows));
  for (std::int64_t p = 0; p < gate_up.shape.panels(); p += 2) {
    float gate[kPanelRows];
    float up[kPanelRows];
    multiply_panel(gate_up, p, x, gate);
    multiply_panel(gate_up, p + 1, x, up);
    for (std::int64_t r = 0; r < kPanelRows; ++r) {
      hidden[static_cast<std::size_t>(p / 2 * kPanelRows + r)] = silu(gate[r]) * up[r];
    }
  }
  std::vector<float> out(static_cast<std::size_t>(down.shape.panels() * kPanelRows));
  for (std::int64_t p = 0; p < down.shape.panels(); ++p) {
    multiply_panel(down, p, hidden.data(), out.data() + p * kPanelRows);
  }
  return out;
}

}  // namespace

void experts(Context&, const Experts& experts, const ExpertMap& map, const Tensor& x, const Tensor& ids,
             const Tensor& weights, const Tensor& out) {
  for (std::int64_t t = 0; t < x.rows; ++t) {
    std::fill(float_row(out, t), float_row(out, t) + out.cols, 0.0F);
    for (std::int64_t i = 0; i < ids.cols; ++i) {
      std::int64_t slot = local_slot(map, t, int_row(ids, t)[i]);
      if (slot < 0) continue;
      std::vector<float> y = expert_output(experts, slot, float_row(x, t));
      for (std::int64_t c = 0; c < out.cols; ++c) {
        float_row(out, t)[c] += float_row(weights, t)[i] * y[static_cast<std::size_t>(c)];
      }
    }
  }
}

}  // namespace millrace::engine::cpu::plain
