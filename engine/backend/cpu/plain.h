// The plain path: each operation as its formula reads, one thread, no intrinsics. It judges every fast kernel, and runs
// where no vector unit is known. Arguments and meaning: Backend.
#pragma once

#include "engine/backend/cpu/kernels.h"

namespace millrace::engine::cpu::plain {

void embed(Context&, const PanelView& table, std::int64_t first_row, const Tensor& out);
void linear(Context&, const PanelView& weight, const float* bias, const Tensor& x, const Tensor& out);
void rms_norm(Context&, const Tensor& x, const Tensor& weight, float eps, const Tensor& out);
void add_rms_norm(Context&, const Tensor& residual, const Tensor& delta, const Tensor& weight, float eps,
                  const Tensor& out);
void gated_rms_norm(Context&, const Tensor& x, const Tensor& z, const Tensor& weight, float eps);
void add(Context&, const Tensor& residual, const Tensor& delta);
void silu_mul(Context&, const Tensor& x, const Tensor& out);
void add_sigmoid_gated(Context&, const Tensor& x, const Tensor& gate, const Tensor& out);
void attention(Context&, const AttentionShape& shape, const Tensor& qkv, const Tensor& q_norm, const Tensor& k_norm,
               const Tensor& inv_freq, PagedKv& cache, std::int64_t layer, const Tensor& out);
void causal_conv(Context&, const Tensor& x, const Tensor& weight, StatePool& states, std::int64_t layer,
                 const Tensor& out);
void gated_delta_rule(Context&, const Tensor& qkv, const Tensor& ba, const Tensor& decay, const Tensor& dt_bias,
                      StatePool& states, std::int64_t layer, const Tensor& out);
void experts(Context&, const Experts& experts, const ExpertMap& map, const Tensor& x, const Tensor& ids,
             const Tensor& weights, const Tensor& out);
LogitScan scan_logits(const float* logits, std::int64_t count);
double exp_logits(const float* logits, std::int64_t count, float largest, float scale, float* weights);

// ---- shared by the operations above ----
float element(const PanelView& weight, std::int64_t row, std::int64_t col);
// out[r] = sum_c weight[r, c] * x[c] for the 16 rows of a panel.
void multiply_panel(const PanelView& weight, std::int64_t panel, const float* x, float* out);
// to[i] = from[i] / sqrt(mean(from^2) + eps) * weight[i]; weight null: all 1.
void normalise(const float* from, const float* weight, std::int64_t count, float eps, float* to);
float sigmoid(float x);
float silu(float x);

}  // namespace millrace::engine::cpu::plain
