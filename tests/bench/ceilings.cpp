#include "tests/bench/ceilings.h"

#include <barrier>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace millrace::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Runs body(thread) on every thread after a common start; returns the seconds until the last is done.
template <typename Body>
double seconds_of(int threads, const Body& body) {
  std::barrier start(threads + 1);
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) {
    workers.emplace_back([&, i] {
      start.arrive_and_wait();
      body(i);
    });
  }
  const auto begin = Clock::now();
  start.arrive_and_wait();
  for (std::thread& worker : workers) worker.join();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

constexpr std::int64_t kFmaRounds = 1'000'000;
constexpr int kChains = 24;  // hides the latency of two units with room to spare

#if defined(__x86_64__)
#define MILLRACE_AVX512 __attribute__((target("avx512f")))

// One instruction on 16 lanes of 32 bits each, as assembly so that the compiler neither merges nor drops any.
struct FmaF32 {
  static constexpr int kPerLane = 1;
  MILLRACE_AVX512 static void add(__m512& sum, __m512 factor) {
    asm volatile("vfmadd213ps %1, %1, %0" : "+v"(sum) : "v"(factor));
  }
};
struct DotBf16 {
  static constexpr int kPerLane = 2;
  MILLRACE_AVX512 static void add(__m512& sum, __m512 factor) {
    asm volatile("vdpbf16ps %1, %1, %0" : "+v"(sum) : "v"(factor));
  }
};
struct DotInt8 {
  static constexpr int kPerLane = 4;
  MILLRACE_AVX512 static void add(__m512& sum, __m512 factor) {
    asm volatile("vpdpbusd %1, %1, %0" : "+v"(sum) : "v"(factor));
  }
};

template <class Instruction>
MILLRACE_AVX512 double run_avx512() {
  __m512 sums[kChains];
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) sums[c] = _mm512_setzero_ps();
  const __m512 factor = _mm512_set1_ps(0.999F);
  for (std::int64_t i = 0; i < kFmaRounds; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) Instruction::add(sums[c], factor);
  }
  double total = 0.0;
#pragma GCC unroll 24
  for (int c = 0; c < kChains; ++c) total += sums[c][0];
  return total;
}

__attribute__((target("avx2,fma"))) double run_fma_avx2() {
  constexpr int kAvx2Chains = 12;  // 16 registers
  __m256 sums[kAvx2Chains];
#pragma GCC unroll 12
  for (int c = 0; c < kAvx2Chains; ++c) sums[c] = _mm256_setzero_ps();
  const __m256 factor = _mm256_set1_ps(0.999F);
  for (std::int64_t i = 0; i < 4 * kFmaRounds; ++i) {  // half the chains of half the lanes
#pragma GCC unroll 12
    for (int c = 0; c < kAvx2Chains; ++c) {
      sums[c] = _mm256_fmadd_ps(sums[c], factor, factor);
      asm volatile("" : "+x"(sums[c]));
    }
  }
  double total = 0.0;
#pragma GCC unroll 12
  for (int c = 0; c < kAvx2Chains; ++c) total += sums[c][0];
  return total;
}

// A loop that does kFmaRounds * kChains * 16 * per_lane multiply-adds.
struct Loop {
  double (*run)() = nullptr;
  int per_lane = 1;
};

template <class Instruction>
constexpr Loop loop_of() {
  return {run_avx512<Instruction>, Instruction::kPerLane};
}

Loop pick_loop(Arithmetic arithmetic) {
  const bool avx512 = __builtin_cpu_supports("avx512f");
  switch (arithmetic) {
    case Arithmetic::kF32:
      return avx512 ? loop_of<FmaF32>() : pick_loop(Arithmetic::kF32Avx2);
    case Arithmetic::kF32Avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? Loop{run_fma_avx2, 1} : Loop{};
    case Arithmetic::kBf16:
      return avx512 && __builtin_cpu_supports("avx512bf16") ? loop_of<DotBf16>() : Loop{};
    case Arithmetic::kInt8:
      return avx512 && __builtin_cpu_supports("avx512vnni") ? loop_of<DotInt8>() : Loop{};
  }
  return {};
}
#endif

// The pattern that reads fastest here: four neighbouring streams with software prefetch, as the kernels read weights.
constexpr std::size_t kStreams = 4;
constexpr std::size_t kStreamBytes = 32768;

using Words = std::uint64_t __attribute__((vector_size(64)));

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
std::uint64_t
read_all(const std::byte* memory, std::size_t bytes) {
  Words sums[kStreams] = {};
  for (std::size_t block = 0; block + kStreams * kStreamBytes <= bytes; block += kStreams * kStreamBytes) {
    for (std::size_t i = 0; i < kStreamBytes; i += sizeof(Words)) {
#pragma GCC unroll 4
      for (std::size_t s = 0; s < kStreams; ++s) {
        const std::byte* at = memory + block + s * kStreamBytes + i;
        sums[s] += *reinterpret_cast<const Words*>(at);
        __builtin_prefetch(at + 1024);
      }
    }
  }
  const Words total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return total[0] + total[1] + total[2] + total[3] + total[4] + total[5] + total[6] + total[7];
}

}  // namespace

ReadBandwidth::ReadBandwidth(int threads, std::size_t bytes) : threads_(threads), memory_(bytes) {
  for (std::size_t i = 0; i < bytes; i += 4096)
    memory_.data()[i] = std::byte{1};  // real pages, not the shared zero page
}

double ReadBandwidth::bytes_per_second() const {
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads_));
  const std::size_t share =
      memory_.bytes() / static_cast<std::size_t>(threads_) / (kStreams * kStreamBytes) * (kStreams * kStreamBytes);
  const double seconds = seconds_of(threads_, [&](int i) {
    auto index = static_cast<std::size_t>(i);
    sums[index] = read_all(memory_.data() + index * share, share);
  });
  volatile std::uint64_t sink = sums[0];  // the reads must happen
  static_cast<void>(sink);
  return static_cast<double>(share) * threads_ / seconds;
}

double multiply_adds_per_second(Arithmetic arithmetic, int threads) {
#if defined(__x86_64__)
  const Loop loop = pick_loop(arithmetic);
  if (loop.run == nullptr) return 0.0;
  std::vector<double> sums(static_cast<std::size_t>(threads));
  const double seconds = seconds_of(threads, [&](int i) { sums[static_cast<std::size_t>(i)] = loop.run(); });
  volatile double sink = sums[0];
  static_cast<void>(sink);
  return static_cast<double>(kFmaRounds) * kChains * 16 * loop.per_lane * threads / seconds;
#else
  static_cast<void>(arithmetic);
  static_cast<void>(threads);
  return 0.0;  // no loop for this architecture: ratios to it are not reported
#endif
}

}  // namespace millrace::bench
