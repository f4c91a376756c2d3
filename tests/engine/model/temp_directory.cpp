#include "tests/engine/model/temp_directory.h"

#include <stdlib.h>

#include <fstream>
#include <stdexcept>

namespace millrace::engine::test {

TempDirectory::TempDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "millrace-model-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
  path_ = name;
}

void TempDirectory::write(const std::string& name, const std::string& content) const {
  std::ofstream(path_ / name, std::ios::binary) << content;
}

}  // namespace millrace::engine::test
