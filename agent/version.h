#pragma once

namespace millrace::agent {

inline constexpr const char* kVersion = MILLRACE_VERSION;  // of the build

}  // namespace millrace::agent
