// The operations of a step as a table of functions: the plain path fills one, each vector instruction set another.
// Arguments are those of Backend; the context says what the step is and lends threads and scratch.
#pragma once

#include <cstdint>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/caches.h"
#include "engine/backend/cpu/memory.h"
#include "engine/backend/cpu/thread_pool.h"
#include "engine/backend/cpu/weights.h"

namespace millrace::engine::cpu {

struct Context {
  const StepInputs* step = nullptr;
  ThreadPool* pool = nullptr;
  Arena* arena = nullptr;  // reset before each operation
};

struct LogitScan {
  float largest = 0.0F;  // of the values that are not NaN
  bool finite = true;    // no NaN, no infinity
};

struct Kernels {
  const char* name;
  void (*embed)(Context&, const PanelView& table, std::int64_t first_row, const Tensor& out);
  void (*linear)(Context&, const PanelView& weight, const float* bias, const Tensor& x, const Tensor& out);
  void (*rms_norm)(Context&, const Tensor& x, const Tensor& weight, float eps, const Tensor& out);
  void (*add_rms_norm)(Context&, const Tensor& residual, const Tensor& delta, const Tensor& weight, float eps,
                       const Tensor& out);
  void (*gated_rms_norm)(Context&, const Tensor& x, const Tensor& z, const Tensor& weight, float eps);
  void (*add)(Context&, const Tensor& residual, const Tensor& delta);
  void (*silu_mul)(Context&, const Tensor& x, const Tensor& out);
  void (*add_sigmoid_gated)(Context&, const Tensor& x, const Tensor& gate, const Tensor& out);
  void (*attention)(Context&, const AttentionShape& shape, const Tensor& qkv, const Tensor& q_norm,
                    const Tensor& k_norm, const Tensor& inv_freq, PagedKv& cache, std::int64_t layer,
                    const Tensor& out);
  void (*causal_conv)(Context&, const Tensor& x, const Tensor& weight, StatePool& states, std::int64_t layer,
                      const Tensor& out);
  void (*gated_delta_rule)(Context&, const Tensor& qkv, const Tensor& ba, const Tensor& decay, const Tensor& dt_bias,
                           StatePool& states, std::int64_t layer, const Tensor& out);
  void (*experts)(Context&, const Experts& experts, const ExpertMap& map, const Tensor& x, const Tensor& ids,
                  const Tensor& weights, const Tensor& out);
  LogitScan (*scan_logits)(const float* logits, std::int64_t count);
  // weights[i] = exp((logits[i] - largest) * scale); returns their sum.
  double (*exp_logits)(const float* logits, std::int64_t count, float largest, float scale, float* weights);
};

extern const Kernels kPlainKernels;
extern const Kernels kAvx2Kernels;    // x86 builds only
extern const Kernels kAvx512Kernels;  // x86 builds only

inline float* float_row(const Tensor& t, std::int64_t row) {
  return reinterpret_cast<float*>(t.data) + row * t.stride;
}
inline std::int32_t* int_row(const Tensor& t, std::int64_t row) {
  return reinterpret_cast<std::int32_t*>(t.data) + row * t.stride;
}

// The slot of this rank that computes `expert` for a token row, or -1; the rule of ExpertMap.
inline std::int64_t local_slot(const ExpertMap& map, std::int64_t row, std::int64_t expert) {
  return int_row(map.slots, expert)[row % *int_row(map.count, expert)];
}

}  // namespace millrace::engine::cpu
