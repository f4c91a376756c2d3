// The back ends of this build, first available wins.
#include <string>

#include "common/error.h"
#include "engine/backend/backend.h"
#include "engine/backend/cpu/cpu_backend.h"

namespace millrace::engine {
namespace {

struct BackendEntry {
  std::string_view name;
  bool (*available)();
  std::unique_ptr<Backend> (*create)(const BackendOptions& options);
};

constexpr BackendEntry kBackends[] = {
    {"cpu", cpu::cpu_available, cpu::create_cpu},
};

}  // namespace

std::unique_ptr<Backend> create_backend(std::string_view name, const BackendOptions& options) {
  std::string names = "auto";
  for (const BackendEntry& entry : kBackends) {
    if (!entry.available()) continue;
    if (name == "auto" || name == entry.name) return entry.create(options);
    names += ", " + std::string(entry.name);
  }
  throw common::Error(common::Code::kInvalidArgument,
                      "backend is '" + std::string(name) + "'; this build on this machine accepts: " + names);
}

}  // namespace millrace::engine
