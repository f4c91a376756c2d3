#include "tests/support/mounted_secret.h"

#include <fstream>

namespace millrace::test {

namespace fs = std::filesystem;

void MountedSecret::replace(const std::map<std::string, std::string>& files) {
  const fs::path fresh = "..round-" + std::to_string(++round_);
  fs::create_directory(folder_.path() / fresh);
  for (const auto& [name, text] : files) std::ofstream(folder_.path() / fresh / name, std::ios::binary) << text;
  const fs::path data = folder_.path() / "..data";
  const fs::path before = fs::is_symlink(data) ? folder_.path() / fs::read_symlink(data) : fs::path();
  fs::create_directory_symlink(fresh, folder_.path() / "..data_tmp");
  fs::rename(folder_.path() / "..data_tmp", data);
  for (const auto& [name, text] : files) {
    if (!fs::is_symlink(folder_.path() / name)) fs::create_symlink(fs::path("..data") / name, folder_.path() / name);
  }
  if (!before.empty()) fs::remove_all(before);
}

}  // namespace millrace::test
