// Router of the mixture of experts; one implementation for all instruction sets.
#pragma once

#include "engine/backend/tensor.h"

namespace millrace::engine::cpu {

// Arguments: Backend::route.
void route(const Tensor& logits, const Tensor& ids, const Tensor& weights, const Tensor& counts);

}  // namespace millrace::engine::cpu
