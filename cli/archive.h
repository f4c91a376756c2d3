// A tar archive, compressed with gzip, in memory. Format: ustar (POSIX.1-1988); regular files only.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace millrace::cli {

class Archive {
 public:
  // Every file carries this time.
  explicit Archive(std::chrono::system_clock::time_point time) : time_(time) {}

  // `path` at most 255 bytes, of which the name at most 100; throws common::Error{kInvalidArgument} for a longer one.
  void add(const std::string& path, std::string_view content);
  // The whole .tar.gz. Throws kInternal when it cannot be compressed.
  std::string finish() const;

 private:
  const std::chrono::system_clock::time_point time_;
  std::string tar_;
};

}  // namespace millrace::cli
