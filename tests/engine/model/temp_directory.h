#pragma once

#include <filesystem>
#include <string>

namespace millrace::engine::test {

// A fresh directory that goes with the object.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory() { std::filesystem::remove_all(path_); }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, const std::string& content) const;

 private:
  std::filesystem::path path_;
};

}  // namespace millrace::engine::test
