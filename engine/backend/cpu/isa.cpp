#include "engine/backend/cpu/isa.h"

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

// Best first.
constexpr IsaEntry kPaths[] = {
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
