#include "engine/backend/cpu/fast_kernels.h"
#include "engine/backend/cpu/simd_avx512.h"

namespace millrace::engine::cpu {

const Kernels kAvx512Kernels = fast::make_kernels<Avx512>("avx512");

}  // namespace millrace::engine::cpu
