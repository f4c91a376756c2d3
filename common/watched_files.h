// Files that may be replaced while the process runs, as a kubelet replaces those of a mounted Secret.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace millrace::common {

// Costs a stat for each file, and that at most once in a while. One thread at a time.
class WatchedFiles {
 public:
  WatchedFiles(std::vector<std::filesystem::path> files, std::chrono::milliseconds look_every);

  // Whether a file has come, gone or been replaced since this last said so, or since construction. Read the files
  // after it: what is replaced meanwhile is told the next time.
  bool changed();
  // What was read is of no use, for example because the files do not fit together yet: they count as changed.
  void read_again() { stamps_.clear(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Stamp {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;  // 0: there is no such file
    std::int64_t size = 0;
    std::int64_t modified_ns = 0;

    bool operator==(const Stamp&) const = default;
  };
  std::vector<Stamp> look() const;

  const std::vector<std::filesystem::path> files_;
  const std::chrono::milliseconds look_every_;
  std::vector<Stamp> stamps_;
  Clock::time_point looked_at_;
};

}  // namespace millrace::common
