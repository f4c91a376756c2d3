#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tests/support/temp_directory.h"

namespace millrace::test {

// The folder of a Secret as a kubelet mounts it: files are links through the link ..data, which is swapped at once.
class MountedSecret {
 public:
  MountedSecret() = default;  // empty
  explicit MountedSecret(const std::map<std::string, std::string>& files) { replace(files); }

  void replace(const std::map<std::string, std::string>& files);
  std::filesystem::path file(const std::string& name) const { return folder_.path() / name; }

 private:
  TempDirectory folder_;
  int round_ = 0;
};

}  // namespace millrace::test
