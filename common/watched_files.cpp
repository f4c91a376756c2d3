#include "common/watched_files.h"

#include <sys/stat.h>

#include <utility>

namespace millrace::common {

WatchedFiles::WatchedFiles(std::vector<std::filesystem::path> files, std::chrono::milliseconds look_every)
    : files_(std::move(files)), look_every_(look_every), stamps_(look()), looked_at_(Clock::now()) {}

bool WatchedFiles::changed() {
  const auto now = Clock::now();
  if (now - looked_at_ < look_every_) return false;
  looked_at_ = now;
  const std::vector<Stamp> before = std::exchange(stamps_, look());
  return before != stamps_;
}

// Follows links: a kubelet swaps the folder that the files' links lead through.
std::vector<WatchedFiles::Stamp> WatchedFiles::look() const {
  std::vector<Stamp> stamps;
  for (const std::filesystem::path& file : files_) {
    struct stat found {};
    Stamp& stamp = stamps.emplace_back();
    if (::stat(file.c_str(), &found) != 0) continue;
    stamp.device = found.st_dev;
    stamp.inode = found.st_ino;
    stamp.size = found.st_size;
    stamp.modified_ns = std::int64_t{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec;
  }
  return stamps;
}

}  // namespace millrace::common
