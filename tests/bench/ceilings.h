// What this machine can do at best, measured: the denominators of every ratio the benchmark reports.
#pragma once

#include <cstddef>

#include "engine/backend/cpu/memory.h"

namespace millrace::bench {

// Streaming reads of a buffer far beyond the last-level cache, split over threads.
class ReadBandwidth {
 public:
  ReadBandwidth(int threads, std::size_t bytes);
  double bytes_per_second() const;  // of one pass

 private:
  int threads_;
  engine::cpu::Buffer memory_;  // huge pages, as the weights have
};

// Independent chains of single-precision fused multiply-adds in registers on all threads, with the widest vectors the
// machine has. Multiply-adds, not operations: one FMA is one.
double fma_per_second(int threads);

}  // namespace millrace::bench
