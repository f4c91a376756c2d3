// The table of kernels of one instruction set; included by one translation unit per set.
#pragma once

#include "engine/backend/cpu/fast_attention.h"
#include "engine/backend/cpu/fast_causal_conv.h"
#include "engine/backend/cpu/fast_embed.h"
#include "engine/backend/cpu/fast_experts.h"
#include "engine/backend/cpu/fast_gated_delta_rule.h"
#include "engine/backend/cpu/fast_linear.h"
#include "engine/backend/cpu/fast_rows.h"

namespace millrace::engine::cpu::fast {

template <class S>
constexpr Kernels make_kernels(const char* name) {
  return {
      .name = name,
      .embed = embed<S>,
      .linear = linear<S>,
      .rms_norm = rms_norm<S>,
      .add_rms_norm = add_rms_norm<S>,
      .gated_rms_norm = gated_rms_norm<S>,
      .add = add<S>,
      .silu_mul = silu_mul<S>,
      .add_sigmoid_gated = add_sigmoid_gated<S>,
      .attention = attention<S>,
      .causal_conv = causal_conv<S>,
      .gated_delta_rule = gated_delta_rule<S>,
      .experts = experts<S>,
      .scan_logits = scan_logits<S>,
      .exp_logits = exp_logits<S>,
  };
}

}  // namespace millrace::engine::cpu::fast
