#include "engine/backend/cpu/plain.h"

namespace millrace::engine::cpu {

const Kernels kPlainKernels = {
    .name = "plain",
    .embed = plain::embed,
    .linear = plain::linear,
    .rms_norm = plain::rms_norm,
    .add_rms_norm = plain::add_rms_norm,
    .gated_rms_norm = plain::gated_rms_norm,
    .add = plain::add,
    .silu_mul = plain::silu_mul,
    .add_sigmoid_gated = plain::add_sigmoid_gated,
    .attention = plain::attention,
    .causal_conv = plain::causal_conv,
    .gated_delta_rule = plain::gated_delta_rule,
    .experts = plain::experts,
    .scan_logits = plain::scan_logits,
    .exp_logits = plain::exp_logits,
};

}  // namespace millrace::engine::cpu
