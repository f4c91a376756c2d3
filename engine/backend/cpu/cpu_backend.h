// The CPU back end: kernels of one instruction set, a pool of threads, scratch, and the sampler.
#pragma once

#include <memory>

#include "engine/backend/backend.h"

namespace millrace::engine::cpu {

bool cpu_available();
std::unique_ptr<Backend> create_cpu(const BackendOptions& options);

}  // namespace millrace::engine::cpu
