// What this machine can do at best, measured: the denominators of every ratio the benchmark reports.
#pragma once

#include <cstddef>
#include <cstdint>

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

enum class Arithmetic : std::uint8_t {
  kF32,      // fused multiply-add, products and sums in fp32, in the widest vectors of the machine
  kF32Avx2,  // the same in vectors of 256 bits
  kBf16,     // vdpbf16ps: pairs of BF16 products, sums in fp32
  kInt8,     // vpdpbusd: fours of 8-bit products, sums in 32-bit integers
};

// Independent chains of one instruction in registers on all threads. Multiply-adds, not operations: one FMA is one, a
// dot-product instruction is one per product. 0 where the machine lacks the instruction.
double multiply_adds_per_second(Arithmetic arithmetic, int threads);

}  // namespace millrace::bench
