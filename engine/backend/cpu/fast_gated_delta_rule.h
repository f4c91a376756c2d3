// Gated delta rule. A task is one value head of one sequence.
//
// Few new tokens: the recurrence, in one reading of the state per token: with r = S^T k and t = S^T q of the state
// before the token, d = beta (v - e^g r) and the output is e^g t + (k.q) d, so that only the update passes over the
// state again.
//
// Many: chunks of 64 tokens as matrix products (Yang et al., "Gated Delta Networks", 2024). With G the running sum of g
// in the chunk and S the state before it, the corrections N solve (I + L) N = diag(beta) (V - diag(e^G) K S), L_ij =
// beta_i (k_i.k_j) e^(G_i - G_j) for j < i; then O = diag(e^G) Q S + P N with P_ij = (q_i.k_j) e^(G_i - G_j) for j <=
// i, and S' = e^(G_last) S + K^T diag(e^(G_last - G)) N. Only differences of G that are not positive are exponentiated;
// G is kept in double because strong decay makes it large while its differences stay small.
#pragma once

#include "engine/backend/cpu/fast_gemm.h"
#include "engine/backend/cpu/fast_math.h"
#include "engine/backend/cpu/fast_rows.h"
#include "engine/backend/cpu/kernels.h"

namespace millrace::engine::cpu::fast {

constexpr std::int64_t kChunk = 64;
constexpr std::int64_t kRecurrentTokens = 12;  // up to here the recurrence is the cheaper form

struct DeltaInputs {
  const DeltaShape& shape;
  const Tensor& qkv;
  const Tensor& ba;
  const Tensor& decay;
  const Tensor& dt_bias;
  const Tensor& out;
};

// One value head of one sequence.
struct DeltaHead {
  std::int64_t head = 0;
  std::int64_t begin = 0;  // rows
  std::int64_t end = 0;
  float* state = nullptr;  // (key_dim, value_dim)
};

struct DeltaScratch {
  float* q;          // (kChunk, key_dim) unit length times 1 / sqrt(key_dim)
  float* k;          // (kChunk, key_dim) unit length
  float* k_columns;  // (key_dim, kChunk)
  float* scores;     // (kChunk, kChunk) P
  float* mixing;     // (kChunk, kChunk) -L
  float* writes;     // (kChunk, value_dim) N
  float beta[kChunk];
  double sum[kChunk];  // G

  static std::int64_t floats(const DeltaShape& d) {
    return kChunk * (3 * d.key_dim + d.value_dim + 2 * kChunk) + 5 * 16;
  }
  DeltaScratch(const DeltaShape& d, float* memory)
      : q(memory),
        k(q + kChunk * d.key_dim),
        k_columns(k + kChunk * d.key_dim),
        scores(k_columns + kChunk * d.key_dim),
        mixing(scores + kChunk * kChunk),
        writes(mixing + kChunk * kChunk) {}
};

// log of the decay, g <= 0.
inline float log_decay(const DeltaInputs& in, std::int64_t row, std::int64_t head) {
  const float x = float_row(in.ba, row)[in.shape.value_heads + head] + float_row(in.dt_bias, 0)[head];
  const float softplus = x > 20.0F ? x : __builtin_log1pf(__builtin_expf(x));
  return -float_row(in.decay, 0)[head] * softplus;
}

inline float write_strength(const DeltaInputs& in, std::int64_t row, std::int64_t head) {
  return 1.0F / (1.0F + __builtin_expf(-float_row(in.ba, row)[head]));
}

inline const float* value_row(const DeltaInputs& in, std::int64_t row, std::int64_t head) {
  return float_row(in.qkv, row) + 2 * in.shape.key_heads * in.shape.key_dim + head * in.shape.value_dim;
}

inline float* out_row(const DeltaInputs& in, std::int64_t row, std::int64_t head) {
  return float_row(in.out, row) + head * in.shape.value_dim;
}

template <class S>
void load_unit(const float* from, std::int64_t count, float scale, float* to) {
  scale_row<S>(from, scale / __builtin_sqrtf(sum_of_squares<S>(from, count) + 1e-6F), nullptr, count, to);
}

// The normalised query and key of a row for the value head.
template <class S>
void load_query_key(const DeltaInputs& in, std::int64_t row, std::int64_t head, float* q, float* k) {
  const DeltaShape& d = in.shape;
  const std::int64_t key_head = head / (d.value_heads / d.key_heads);
  const float* from = float_row(in.qkv, row) + key_head * d.key_dim;
  load_unit<S>(from, d.key_dim, 1.0F / __builtin_sqrtf(static_cast<float>(d.key_dim)), q);
  load_unit<S>(from + d.key_heads * d.key_dim, d.key_dim, 1.0F, k);
}

template <class S>
float dot(const float* a, const float* b, std::int64_t count) {
  typename S::Vec sum = S::zero();
  for_vectors<S>(
      count, [&](long i, int lanes) { sum = S::fma(S::load_first(a + i, lanes), S::load_first(b + i, lanes), sum); });
  return S::sum(sum);
}

// ---- recurrent
// ---------------------------------------------------------------------------------------------------------

struct DeltaToken {
  const float* q;
  const float* k;
  const float* v;
  float decay;
  float beta;
  float key_query;  // k.q
};

// Vecs vectors of columns of the state, the last of `lanes` columns; `cols` is the state's row length. Wide strips read
// the state, which comes from memory when many sequences decode, in long runs.
template <class S, int Vecs>
void advance_columns(const DeltaToken& token, std::int64_t key_dim, std::int64_t cols, int lanes, const float* v,
                     float* state, float* out) {
  using Vec = typename S::Vec;
  constexpr int kW = S::kWidth;
  const auto load = [lanes](const float* p, int i) {
    return i + 1 == Vecs ? S::load_first(p + i * kW, lanes) : S::load(p + i * kW);
  };
  const auto store = [lanes](float* p, int i, Vec x) {
    return i + 1 == Vecs ? S::store_first(p + i * kW, x, lanes) : S::store(p + i * kW, x);
  };
  Vec read[Vecs];
  Vec asked[Vecs];
  for (int i = 0; i < Vecs; ++i) read[i] = asked[i] = S::zero();
  for (std::int64_t r = 0; r < key_dim; ++r) {
    const Vec k = S::all(token.k[r]);
    const Vec q = S::all(token.q[r]);
#pragma GCC unroll 8
    for (int i = 0; i < Vecs; ++i) {
      const Vec row = load(state + r * cols, i);
      read[i] = S::fma(row, k, read[i]);
      asked[i] = S::fma(row, q, asked[i]);
    }
  }
  const Vec decay = S::all(token.decay);
  Vec write[Vecs];
  for (int i = 0; i < Vecs; ++i) {
    write[i] = S::mul(S::all(token.beta), S::sub(load(v, i), S::mul(decay, read[i])));
    store(out, i, S::fma(S::all(token.key_query), write[i], S::mul(decay, asked[i])));
  }
  for (std::int64_t r = 0; r < key_dim; ++r) {
    const Vec k = S::all(token.k[r]);
#pragma GCC unroll 8
    for (int i = 0; i < Vecs; ++i) {
      store(state + r * cols, i, S::fma(k, write[i], S::mul(decay, load(state + r * cols, i))));
    }
  }
}

template <class S>
void advance(const DeltaToken& token, const DeltaShape& d, float* state, float* out) {
  constexpr std::int64_t kStrip = 2 * S::kGemmVecs * S::kWidth;
  std::int64_t c = 0;
  for (; c + kStrip <= d.value_dim; c += kStrip) {
    advance_columns<S, 2 * S::kGemmVecs>(token, d.key_dim, d.value_dim, S::kWidth, token.v + c, state + c, out + c);
  }
  for_vectors<S>(d.value_dim - c, [&](long i, int lanes) {
    advance_columns<S, 1>(token, d.key_dim, d.value_dim, lanes, token.v + c + i, state + c + i, out + c + i);
  });
}

template <class S>
void run_recurrent(const DeltaInputs& in, const DeltaHead& task, DeltaScratch& scratch) {
  const DeltaShape& d = in.shape;
  for (std::int64_t row = task.begin; row < task.end; ++row) {
    load_query_key<S>(in, row, task.head, scratch.q, scratch.k);
    const DeltaToken token{scratch.q,
                           scratch.k,
                           value_row(in, row, task.head),
                           __builtin_expf(log_decay(in, row, task.head)),
                           write_strength(in, row, task.head),
                           dot<S>(scratch.k, scratch.q, d.key_dim)};
    advance<S>(token, d, task.state, out_row(in, row, task.head));
  }
}

// ---- chunked
// -----------------------------------------------------------------------------------------------------------

// Queries, keys, beta and running log decay of the chunk's rows.
template <class S>
void load_chunk(const DeltaInputs& in, const DeltaHead& task, std::int64_t first, std::int64_t count,
                DeltaScratch& scratch) {
  const std::int64_t dim = in.shape.key_dim;
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    load_query_key<S>(in, first + i, task.head, scratch.q + i * dim, scratch.k + i * dim);
    scratch.beta[i] = write_strength(in, first + i, task.head);
    scratch.sum[i] = sum += log_decay(in, first + i, task.head);
  }
  transpose_rows<S>([&](std::int64_t i) { return scratch.k + i * dim; }, count, dim, kChunk, scratch.k_columns);
}

// P and -L from the dot products; above the diagonals both are 0.
template <class S>
void weigh_scores(std::int64_t count, DeltaScratch& scratch) {
  for (std::int64_t i = 0; i < count; ++i) {
    float* scores = scratch.scores + i * kChunk;
    float* mixing = scratch.mixing + i * kChunk;
    float decay[kChunk];
    for (std::int64_t j = 0; j <= i; ++j) decay[j] = static_cast<float>(scratch.sum[i] - scratch.sum[j]);
    for_vectors<S>(i + 1, [&](long j, int lanes) {
      const typename S::Vec e = exp<S>(S::load_first(decay + j, lanes));
      S::store_first(scores + j, S::mul(e, S::load_first(scores + j, lanes)), lanes);
      const typename S::Vec m = S::mul(S::mul(e, S::all(-scratch.beta[i])), S::load_first(mixing + j, lanes));
      S::store_first(mixing + j, m, lanes);
    });
    for (std::int64_t j = i + 1; j < count; ++j) scores[j] = 0.0F;
    for (std::int64_t j = i; j < count; ++j) mixing[j] = 0.0F;
  }
}

// Row i of N -= sum_{j < i} L_ij N_j, from the first row down: in strips of rows, first all rows above the strip as one
// product, then those inside it.
template <class S>
void solve_unit_lower(std::int64_t count, std::int64_t cols, const float* minus_l, float* n) {
  constexpr std::int64_t kStrip = 6;
  for (std::int64_t top = 0; top < count; top += kStrip) {
    const std::int64_t rows = count - top < kStrip ? count - top : kStrip;
    const float* strip = minus_l + top * kChunk;
    gemm<S, true>({rows, cols, top}, {strip, kChunk, 1}, n, cols, n + top * cols, cols);
    for (std::int64_t i = 1; i < rows; ++i) {
      gemm<S, true>({1, cols, i}, {strip + i * kChunk + top, kChunk, 1}, n + top * cols, cols, n + (top + i) * cols,
                    cols);
    }
  }
}

// N, from the state before the chunk.
template <class S>
void compute_writes(const DeltaInputs& in, const DeltaHead& task, std::int64_t first, std::int64_t count,
                    DeltaScratch& scratch) {
  const std::int64_t keys = in.shape.key_dim;
  const std::int64_t values = in.shape.value_dim;
  gemm<S, false>({count, values, keys}, {scratch.k, keys, 1}, task.state, values, scratch.writes, values);
  for (std::int64_t i = 0; i < count; ++i) {
    const typename S::Vec decay = S::all(-__builtin_expf(static_cast<float>(scratch.sum[i])));
    const float* v = value_row(in, first + i, task.head);
    float* n = scratch.writes + i * values;
    for_vectors<S>(values, [&](long c, int lanes) {
      const typename S::Vec rest = S::fma(decay, S::load_first(n + c, lanes), S::load_first(v + c, lanes));
      S::store_first(n + c, S::mul(S::all(scratch.beta[i]), rest), lanes);
    });
  }
  solve_unit_lower<S>(count, values, scratch.mixing, scratch.writes);
}

// O; leaves the queries decayed.
template <class S>
void compute_output(const DeltaInputs& in, const DeltaHead& task, std::int64_t first, std::int64_t count,
                    DeltaScratch& scratch) {
  const std::int64_t keys = in.shape.key_dim;
  const std::int64_t values = in.shape.value_dim;
  float* out = out_row(in, first, task.head);
  for (std::int64_t i = 0; i < count; ++i) {
    float* q = scratch.q + i * keys;
    scale_row<S>(q, __builtin_expf(static_cast<float>(scratch.sum[i])), nullptr, keys, q);
  }
  gemm<S, false>({count, values, keys}, {scratch.q, keys, 1}, task.state, values, out, in.out.stride);
  gemm<S, true>({count, values, count}, {scratch.scores, kChunk, 1}, scratch.writes, values, out, in.out.stride);
}

// S'; leaves the writes decayed.
template <class S>
void update_state(const DeltaShape& d, std::int64_t count, DeltaScratch& scratch, float* state) {
  const double last = scratch.sum[count - 1];
  for (std::int64_t i = 0; i < count; ++i) {
    float* n = scratch.writes + i * d.value_dim;
    scale_row<S>(n, __builtin_expf(static_cast<float>(last - scratch.sum[i])), nullptr, d.value_dim, n);
  }
  scale_row<S>(state, __builtin_expf(static_cast<float>(last)), nullptr, d.key_dim * d.value_dim, state);
  gemm<S, true>({d.key_dim, d.value_dim, count}, {scratch.k, 1, d.key_dim}, scratch.writes, d.value_dim, state,
                d.value_dim);
}

template <class S>
void run_chunk(const DeltaInputs& in, const DeltaHead& task, std::int64_t first, std::int64_t count,
               DeltaScratch& scratch) {
  const std::int64_t keys = in.shape.key_dim;
  load_chunk<S>(in, task, first, count, scratch);
  gemm<S, false>({count, count, keys}, {scratch.q, keys, 1}, scratch.k_columns, kChunk, scratch.scores, kChunk);
  gemm<S, false>({count, count, keys}, {scratch.k, keys, 1}, scratch.k_columns, kChunk, scratch.mixing, kChunk);
  weigh_scores<S>(count, scratch);
  compute_writes<S>(in, task, first, count, scratch);
  compute_output<S>(in, task, first, count, scratch);
  update_state<S>(in.shape, count, scratch, task.state);
}

template <class S>
void gated_delta_rule(Context& context, const Tensor& qkv, const Tensor& ba, const Tensor& decay, const Tensor& dt_bias,
                      StatePool& states, std::int64_t layer, const Tensor& out) {
  const StepInputs& step = *context.step;
  const DeltaShape& shape = states.shape().delta;
  const DeltaInputs in{shape, qkv, ba, decay, dt_bias, out};
  const std::int64_t size = DeltaScratch::floats(shape);
  auto* memory = context.arena->take<float>(static_cast<std::size_t>(size * context.pool->threads()));
  context.pool->run(step.num_seqs() * shape.value_heads, [&](std::int64_t index, std::int32_t worker) {
    const std::int64_t s = index / shape.value_heads;
    DeltaHead task{index % shape.value_heads, step.row_begin.data()[s], step.row_begin.data()[s + 1], nullptr};
    if (task.begin == task.end) return;
    task.state = states.recurrent(layer, step.slots.data()[s], task.head);
    if (step.context.data()[s] == 0) __builtin_memset(task.state, 0, sizeof(float) * shape.key_dim * shape.value_dim);
    DeltaScratch scratch(shape, memory + worker * size);
    if (task.end - task.begin <= kRecurrentTokens) return run_recurrent<S>(in, task, scratch);
    for (std::int64_t first = task.begin; first < task.end; first += kChunk) {
      run_chunk<S>(in, task, first, task.end - first < kChunk ? task.end - first : kChunk, scratch);
    }
  });
}

}  // namespace millrace::engine::cpu::fast
