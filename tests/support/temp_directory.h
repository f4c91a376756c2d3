#pragma once

#include <filesystem>
#include <string>

namespace millrace::test {

// A fresh folder that goes, with all that is in it, with the object.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Writes a file and returns its path.
  std::filesystem::path write(const std::string& name, const std::string& content) const;
  // Leaves the folder behind, for someone who wants to look into it.
  void keep() { keep_ = true; }

 private:
  std::filesystem::path path_;
  bool keep_ = false;
};

}  // namespace millrace::test
