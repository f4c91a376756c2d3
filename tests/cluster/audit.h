// What an API server's audit log says about writes (control_plane.sh logs them all).
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace millrace::testing {

struct AuditedWrite {
  std::string user;      // "system:serviceaccount:millrace-system:millrace-operator"
  std::string verb;      // create, update, patch, delete, deletecollection
  std::string resource;  // "pods", "pods/status"
  std::string name;
  int code = 0;  // HTTP status of the answer
};

std::string to_string(const AuditedWrite& write);

// The writes of one user from byte `from` of the log on, in their order. A line still being written is left out.
std::vector<AuditedWrite> audited_writes(const std::filesystem::path& log, const std::string& user,
                                         std::size_t from = 0);

}  // namespace millrace::testing
