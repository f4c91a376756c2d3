#include "engine/backend/cpu/fast_kernels.h"
#include "engine/backend/cpu/simd_avx2.h"

namespace millrace::engine::cpu {

const Kernels kAvx2Kernels = fast::make_kernels<Avx2>("avx2");

}  // namespace millrace::engine::cpu
