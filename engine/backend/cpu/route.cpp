// Softmax over all experts, best k, renormalised is the softmax over the best k logits alone: the sum over the others
// cancels. So only k exponentials are taken.
#include "engine/backend/cpu/route.h"

#include <cmath>
#include <numeric>

#include "engine/backend/cpu/kernels.h"

namespace millrace::engine::cpu {
namespace {

// Indices of the k largest, best first, ties to the lower index. NaN never beats anything, so ids stay valid.
void select_best(const float* logits, std::int64_t experts, std::int64_t k, std::int32_t* ids) {
  std::iota(ids, ids + k, 0);
  for (std::int64_t filled = 1; filled < experts; ++filled) {
    auto candidate = static_cast<std::int32_t>(filled);
    std::int64_t at = filled < k ? filled : k;  // first place that is not yet held
    if (at == k && !(logits[candidate] > logits[ids[k - 1]])) continue;
    if (at == k) --at;
    for (; at > 0 && logits[candidate] > logits[ids[at - 1]]; --at) ids[at] = ids[at - 1];
    ids[at] = candidate;
  }
}

void softmax_of_selected(const float* logits, const std::int32_t* ids, std::int64_t k, float* weights) {
  float total = 0.0F;
  for (std::int64_t i = 0; i < k; ++i) total += weights[i] = std::exp(logits[ids[i]] - logits[ids[0]]);
  for (std::int64_t i = 0; i < k; ++i) weights[i] /= total;
}

}  // namespace

void route(const Tensor& logits, const Tensor& ids, const Tensor& weights, const Tensor& counts) {
  for (std::int64_t t = 0; t < logits.rows; ++t) {
    std::int32_t* chosen = int_row(ids, t);
    select_best(float_row(logits, t), logits.cols, ids.cols, chosen);
    softmax_of_selected(float_row(logits, t), chosen, ids.cols, float_row(weights, t));
    for (std::int64_t i = 0; i < ids.cols; ++i) ++int_row(counts, 0)[chosen[i]];
  }
}

}  // namespace millrace::engine::cpu
