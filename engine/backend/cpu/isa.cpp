#include "engine/backend/cpu/isa.h"

#ifdef MILLRACE_CPU_X86
#include <cpuid.h>
#endif

#include "common/error.h"

namespace millrace::engine::cpu {
namespace {

struct IsaEntry {
  const Kernels* kernels;
  bool (*available)();
};

bool always() {
  return true;
}

#ifdef MILLRACE_CPU_X86
// Not every compiler knows "f16c" as a name of __builtin_cpu_supports.
bool has_f16c() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

// Best first.
constexpr IsaEntry kPaths[] = {
#ifdef MILLRACE_CPU_X86
    {&kAvx512Kernels, has_avx512},
    {&kAvx2Kernels, has_avx2},
#endif
    {&kPlainKernels, always},
};

}  // namespace

const Kernels& select_kernels(std::string_view name) {
  std::string names;
  for (const IsaEntry& path : kPaths) {
    if (!path.available()) continue;
    if (name.empty() || name == path.kernels->name) return *path.kernels;
    names += names.empty() ? "" : ", ";
    names += path.kernels->name;
  }
  throw common::Error(common::Code::kInvalidArgument,
                      "isa is '" + std::string(name) + "'; this machine and build can run: " + names);
}

}  // namespace millrace::engine::cpu
