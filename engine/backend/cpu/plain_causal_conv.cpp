// Depthwise convolution over time with the last conv_width - 1 inputs of the sequence as state, then SiLU.
#include <cstring>
#include <vector>

#include "engine/backend/cpu/plain.h"

namespace millrace::engine::cpu::plain {
namespace {

// The sequence's inputs with the state (or zeros) in front: (history + tokens, channels).
std::vector<const float*> with_history(const Tensor& x, std::int64_t begin, std::int64_t end, const float* history,
                                       std::int64_t history_rows) {
  std::vector<const float*> rows;
  for (std::int64_t i = 0; i < history_rows; ++i) rows.push_back(history + i * x.cols);
  for (std::int64_t t = begin; t < end; ++t) rows.push_back(float_row(x, t));
  return rows;
}

}  // namespace

void causal_conv(Context& context, const Tensor& x, const Tensor& weight, StatePool& states, std::int64_t layer,
                 const Tensor& out) {
  const StepInputs& step = *context.step;
  const std::int64_t width = weight.cols;
  const std::int64_t kept = width - 1;
  std::vector<float> history(static_cast<std::size_t>(kept * x.cols));
  for (std::size_t s = 0; s < step.context.size(); ++s) {
    float* state = states.conv(layer, step.slots[s]);
    if (step.context[s] == 0) {
      std::fill(history.begin(), history.end(), 0.0F);
    } else {
      std::memcpy(history.data(), state, history.size() * sizeof(float));
    }
    std::vector<const float*> rows = with_history(x, step.row_begin[s], step.row_begin[s + 1], history.data(), kept);
    for (std::int64_t t = step.row_begin[s]; t < step.row_begin[s + 1]; ++t) {
      std::int64_t first = t - step.row_begin[s];
      for (std::int64_t c = 0; c < x.cols; ++c) {
        float sum = 0.0F;
        for (std::int64_t j = 0; j < width; ++j) {
          sum += float_row(weight, c)[j] * rows[static_cast<std::size_t>(first + j)][c];
        }
        float_row(out, t)[c] = silu(sum);
      }
    }
    for (std::int64_t i = 0; i < kept; ++i) {
      const float* from = rows[rows.size() - static_cast<std::size_t>(kept - i)];
      std::memcpy(state + i * x.cols, from, static_cast<std::size_t>(x.cols) * sizeof(float));
    }
  }
}

}  // namespace millrace::engine::cpu::plain
