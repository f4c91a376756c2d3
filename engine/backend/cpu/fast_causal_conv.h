// Depthwise causal convolution and SiLU. A task is a run of channels of one sequence: its taps and its history lie side
// by side in scratch, and each output is `width` fused multiply-adds on whole vectors.
#pragma once

#include "engine/backend/cpu/fast_math.h"
#include "engine/backend/cpu/kernels.h"

namespace millrace::engine::cpu::fast {

constexpr std::int64_t kConvChannels = 256;  // of a task

struct ConvTask {
  std::int64_t begin = 0;  // rows of the sequence
  std::int64_t end = 0;
  std::int64_t channel = 0;
  std::int64_t channels = 0;
  bool fresh = false;
  float* state = nullptr;    // at `channel`
  float* taps = nullptr;     // scratch: (width, kConvChannels)
  float* history = nullptr;  // scratch: (width - 1, kConvChannels)
};

// Input of the sequence's token `t` counted from its first new one; negative: history.
inline const float* conv_input(const ConvTask& task, const Tensor& x, std::int64_t t, std::int64_t kept) {
  if (t < 0) return task.history + (kept + t) * kConvChannels;
  return float_row(x, task.begin + t) + task.channel;
}

template <class S>
void conv_tokens(const ConvTask& task, const Tensor& x, std::int64_t width, const Tensor& out) {
  for (std::int64_t t = 0; t < task.end - task.begin; ++t) {
    float* to = float_row(out, task.begin + t) + task.channel;
    for_vectors<S>(task.channels, [&](long c, int lanes) {
      typename S::Vec sum = S::zero();
      for (std::int64_t j = 0; j < width; ++j) {
        const float* from = conv_input(task, x, t - (width - 1) + j, width - 1);
        sum = S::fma(S::load_first(task.taps + j * kConvChannels + c, lanes), S::load_first(from + c, lanes), sum);
      }
      S::store_first(to + c, silu<S>(sum), lanes);
    });
  }
}

template <class S>
void conv_task(const ConvTask& task, const Tensor& x, const Tensor& weight, const Tensor& out) {
  const std::int64_t kept = weight.cols - 1;
  for (std::int64_t c = 0; c < task.channels; ++c) {
    for (std::int64_t j = 0; j <= kept; ++j) {
      task.taps[j * kConvChannels + c] = float_row(weight, task.channel + c)[j];
    }
  }
  for (std::int64_t i = 0; i < kept; ++i) {
    for (std::int64_t c = 0; c < task.channels; ++c) {
      task.history[i * kConvChannels + c] = task.fresh ? 0.0F : task.state[i * x.cols + c];
    }
  }
  conv_tokens<S>(task, x, weight.cols, out);
  for (std::int64_t i = 0; i < kept; ++i) {
    const float* from = conv_input(task, x, task.end - task.begin - kept + i, kept);
    for (std::int64_t c = 0; c < task.channels; ++c) task.state[i * x.cols + c] = from[c];
  }
}

template <class S>
void causal_conv(Context& context, const Tensor& x, const Tensor& weight, StatePool& states, std::int64_t layer,
                 const Tensor& out) {
  const StepInputs& step = *context.step;
  const std::int64_t chunks = (x.cols + kConvChannels - 1) / kConvChannels;
  const std::int64_t scratch_size = (2 * weight.cols - 1) * kConvChannels;
  auto* scratch = context.arena->take<float>(static_cast<std::size_t>(scratch_size * context.pool->threads()));
  context.pool->run(step.num_seqs() * chunks, [&](std::int64_t index, std::int32_t worker) {
    const std::int64_t s = index / chunks;
    ConvTask task;
    task.begin = step.row_begin.data()[s];
    task.end = step.row_begin.data()[s + 1];
    if (task.begin == task.end) return;
    task.channel = index % chunks * kConvChannels;
    task.channels = x.cols - task.channel < kConvChannels ? x.cols - task.channel : kConvChannels;
    task.fresh = step.context.data()[s] == 0;
    task.state = states.conv(layer, step.slots.data()[s]) + task.channel;
    task.taps = scratch + worker * scratch_size;
    task.history = task.taps + weight.cols * kConvChannels;
    conv_task<S>(task, x, weight, out);
  });
}

}  // namespace millrace::engine::cpu::fast
