// Operations on single rows: norms, additions, gates, and the sampler's passes over logits.
#pragma once

#include "engine/backend/cpu/fast_math.h"
#include "engine/backend/cpu/kernels.h"

namespace millrace::engine::cpu::fast {

// Runs body(row) over rows; in parallel only when that outweighs waking the threads.
template <class Body>
void for_rows(Context& context, std::int64_t rows, std::int64_t work_per_row, const Body& body) {
  constexpr std::int64_t kTaskWork = 16384;  // elements
  const std::int64_t per_task = work_per_row >= kTaskWork ? 1 : kTaskWork / (work_per_row + 1) + 1;
  context.pool->run((rows + per_task - 1) / per_task, [&](std::int64_t task, std::int32_t) {
    const std::int64_t end = (task + 1) * per_task < rows ? (task + 1) * per_task : rows;
    for (std::int64_t row = task * per_task; row < end; ++row) body(row);
  });
}

template <class S>
float sum_of_squares(const float* x, std::int64_t count) {
  typename S::Vec a = S::zero();
  typename S::Vec b = S::zero();
  std::int64_t i = 0;
  for (; i + 2 * S::kWidth <= count; i += 2 * S::kWidth) {
    typename S::Vec u = S::load(x + i);
    typename S::Vec v = S::load(x + i + S::kWidth);
    a = S::fma(u, u, a);
    b = S::fma(v, v, b);
  }
  for_vectors<S>(count - i, [&](long at, int lanes) {
    typename S::Vec u = S::load_first(x + i + at, lanes);
    a = S::fma(u, u, a);
  });
  return S::sum(S::add(a, b));
}

// to = from * scale * weight; weight null: all 1. from may be to.
template <class S>
void scale_row(const float* from, float scale, const float* weight, std::int64_t count, float* to) {
  for_vectors<S>(count, [&](long i, int lanes) {
    typename S::Vec v = S::mul(S::load_first(from + i, lanes), S::all(scale));
    if (weight != nullptr) v = S::mul(v, S::load_first(weight + i, lanes));
    S::store_first(to + i, v, lanes);
  });
}

template <class S>
float rms_scale(const float* x, std::int64_t count, float eps) {
  return 1.0F / __builtin_sqrtf(sum_of_squares<S>(x, count) / static_cast<float>(count) + eps);
}

template <class S>
void rms_norm(Context& context, const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
  for_rows(context, x.rows, x.cols, [&](std::int64_t t) {
    const float* row = float_row(x, t);
    scale_row<S>(row, rms_scale<S>(row, x.cols, eps), float_row(weight, 0), x.cols, float_row(out, t));
  });
}

template <class S>
void add_row(const float* from, std::int64_t count, float* to) {
  for_vectors<S>(count, [&](long i, int lanes) {
    S::store_first(to + i, S::add(S::load_first(to + i, lanes), S::load_first(from + i, lanes)), lanes);
  });
}

template <class S>
void add(Context& context, const Tensor& residual, const Tensor& delta) {
  for_rows(context, residual.rows, residual.cols,
           [&](std::int64_t t) { add_row<S>(float_row(delta, t), residual.cols, float_row(residual, t)); });
}

template <class S>
void add_rms_norm(Context& context, const Tensor& residual, const Tensor& delta, const Tensor& weight, float eps,
                  const Tensor& out) {
  for_rows(context, residual.rows, 2 * residual.cols, [&](std::int64_t t) {
    float* row = float_row(residual, t);
    add_row<S>(float_row(delta, t), residual.cols, row);
    scale_row<S>(row, rms_scale<S>(row, residual.cols, eps), float_row(weight, 0), residual.cols, float_row(out, t));
  });
}

template <class S>
void gated_rms_norm(Context& context, const Tensor& x, const Tensor& z, const Tensor& weight, float eps) {
  const std::int64_t dim = weight.cols;
  for_rows(context, x.rows, 4 * x.cols, [&](std::int64_t t) {
    for (std::int64_t begin = 0; begin < x.cols; begin += dim) {
      float* values = float_row(x, t) + begin;
      const float* gates = float_row(z, t) + begin;
      scale_row<S>(values, rms_scale<S>(values, dim, eps), float_row(weight, 0), dim, values);
      for_vectors<S>(dim, [&](long i, int lanes) {
        typename S::Vec gate = silu<S>(S::load_first(gates + i, lanes));
        S::store_first(values + i, S::mul(S::load_first(values + i, lanes), gate), lanes);
      });
    }
  });
}

template <class S>
void silu_mul(Context& context, const Tensor& x, const Tensor& out) {
  for_rows(context, x.rows, 4 * out.cols, [&](std::int64_t t) {
    const float* gate = float_row(x, t);
    const float* up = gate + out.cols;
    float* to = float_row(out, t);
    for_vectors<S>(out.cols, [&](long i, int lanes) {
      typename S::Vec v = S::mul(silu<S>(S::load_first(gate + i, lanes)), S::load_first(up + i, lanes));
      S::store_first(to + i, v, lanes);
    });
  });
}

template <class S>
void add_sigmoid_gated(Context& context, const Tensor& x, const Tensor& gate, const Tensor& out) {
  for_rows(context, x.rows, x.cols, [&](std::int64_t t) {
    const typename S::Vec share = sigmoid<S>(S::all(*float_row(gate, t)));
    const float* from = float_row(x, t);
    float* to = float_row(out, t);
    for_vectors<S>(x.cols, [&](long i, int lanes) {
      S::store_first(to + i, S::fma(share, S::load_first(from + i, lanes), S::load_first(to + i, lanes)), lanes);
    });
  });
}

template <class S>
LogitScan scan_logits(const float* logits, std::int64_t count) {
  typename S::Vec largest = S::all(-__builtin_inff());
  // The sum of all x - x is 0 exactly when all are finite: cheaper than a test per vector.
  typename S::Vec differences = S::zero();
  std::int64_t i = 0;
  for (; i + S::kWidth <= count; i += S::kWidth) {
    typename S::Vec v = S::load(logits + i);
    largest = S::max(v, largest);
    differences = S::add(differences, S::sub(v, v));
  }
  LogitScan scan{S::largest(largest), S::sum(differences) == 0.0F};
  for (; i < count; ++i) {
    scan.finite = scan.finite && logits[i] - logits[i] == 0.0F;
    if (logits[i] > scan.largest) scan.largest = logits[i];
  }
  return scan;
}

template <class S>
double exp_logits(const float* logits, std::int64_t count, float largest, float scale, float* weights) {
  constexpr std::int64_t kBlock = 1024;  // summed in float, then in double
  double total = 0.0;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t size = count - begin < kBlock ? count - begin : kBlock;
    typename S::Vec sum = S::zero();
    for_vectors<S>(size, [&](long i, int lanes) {
      typename S::Vec x = S::sub(S::load_first(logits + begin + i, lanes), S::all(largest));
      S::store_first(weights + begin + i, exp<S>(S::mul(x, S::all(scale))), lanes);
      sum = S::add(sum, S::load_first(weights + begin + i, lanes));
    });
    total += S::sum(sum);
  }
  return total;
}

}  // namespace millrace::engine::cpu::fast
