// Root-mean-square norms: plain, fused with the residual addition, and gated per head.
#include <cmath>

#include "engine/backend/cpu/plain.h"

namespace millrace::engine::cpu::plain {

void normalise(const float* from, const float* weight, std::int64_t count, float eps, float* to) {
  double squares = 0.0;
  for (std::int64_t i = 0; i < count; ++i) squares += static_cast<double>(from[i]) * from[i];
  auto scale = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(count) + eps));
  for (std::int64_t i = 0; i < count; ++i) to[i] = from[i] * scale * (weight == nullptr ? 1.0F : weight[i]);
}

void rms_norm(Context&, const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  for (std::int64_t t = 0; t < x.rows; ++t) {
    normalise(float_row(x, t), float_row(weight, 0), x.cols, eps, float_row(out, t));
  }
}

void add_rms_norm(Context& context, const Tensor& residual, const Tensor& delta, const Tensor& weight, float eps,
                  const Tensor& out) {
  add(context, residual, delta);
  rms_norm(context, residual, weight, eps, out);
}

void gated_rms_norm(Context&, const Tensor& x, const Tensor& z, const Tensor& weight, float eps) {
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t head = 0; head < x.cols / weight.cols; ++head) {
      float* values = float_row(x, t) + head * weight.cols;
      const float* gates = float_row(z, t) + head * weight.cols;
      normalise(values, float_row(weight, 0), weight.cols, eps, values);
      for (std::int64_t c = 0; c < weight.cols; ++c) values[c] *= silu(gates[c]);
    }
  }
}

}  // namespace millrace::engine::cpu::plain
