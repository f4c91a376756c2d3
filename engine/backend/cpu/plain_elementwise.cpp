// Operations that touch each element once.
#include <cmath>

#include "engine/backend/cpu/plain.h"

namespace millrace::engine::cpu::plain {

float sigmoid(float x) {
  return 1.0F / (1.0F + std::exp(-x));
}

float silu(float x) {
  return x * sigmoid(x);
}

void add(Context&, const Tensor& residual, const Tensor& delta) {
  for (std::int64_t t = 0; t < residual.rows; ++t) {
    for (std::int64_t c = 0; c < residual.cols; ++c) float_row(residual, t)[c] += float_row(delta, t)[c];
  }
}

void silu_mul(Context&, const Tensor& x, const Tensor& out) {
  for (std::int64_t t = 0; t < x.rows; ++t) {
    const float* gate = float_row(x, t);
    const float* up = gate + out.cols;
    for (std::int64_t c = 0; c < out.cols; ++c) float_row(out, t)[c] = silu(gate[c]) * up[c];
  }
}

void add_sigmoid_gated(Context&, const Tensor& x, const Tensor& gate, const Tensor& out) {
  for (std::int64_t t = 0; t < x.rows; ++t) {
    float share = sigmoid(*float_row(gate, t));
    for (std::int64_t c = 0; c < x.cols; ++c) float_row(out, t)[c] += share * float_row(x, t)[c];
  }
}

}  // namespace millrace::engine::cpu::plain
