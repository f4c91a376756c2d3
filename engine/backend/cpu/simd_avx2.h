// Eight floats at a time with AVX2, FMA and F16C. Only translation units compiled for them include this file; all
// members are inlined so that no code of this instruction set can be shared with others.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define MILLRACE_SIMD [[gnu::always_inline]] static inline

namespace millrace::engine::cpu {

struct Avx2 {
  using Vec = __m256;
  static constexpr int kWidth = 8;
  static constexpr int kGemmVecs = 2;     // by 6 rows: 12 sums in 16 registers
  static constexpr int kMaxTileRows = 6;  // a tile of activation rows that one pass over a panel serves
  // Panels that a tile of `rows` multiplies at once: as many sums as registers hold, besides weights and activations.
  static constexpr int tile_panels(int rows) { return rows == 1 ? 4 : rows <= 3 ? 2 : 1; }

  MILLRACE_SIMD Vec zero() { return _mm256_setzero_ps(); }
  MILLRACE_SIMD Vec all(float x) { return _mm256_set1_ps(x); }
  MILLRACE_SIMD Vec load(const float* p) { return _mm256_loadu_ps(p); }
  MILLRACE_SIMD void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
  MILLRACE_SIMD Vec load_first(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  MILLRACE_SIMD void store_first(float* p, Vec v, int n) { _mm256_maskstore_ps(p, first(n), v); }

  MILLRACE_SIMD Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
  MILLRACE_SIMD Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
  MILLRACE_SIMD Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
  MILLRACE_SIMD Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
  MILLRACE_SIMD Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }  // a * b + c
  MILLRACE_SIMD Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }              // b where a is NaN
  MILLRACE_SIMD Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
  MILLRACE_SIMD Vec round(Vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // a * 2^n for whole n in [-126, 127].
  MILLRACE_SIMD Vec scale_by_power(Vec a, Vec n) {
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return mul(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
  }
  MILLRACE_SIMD float sum(Vec a) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
  }
  MILLRACE_SIMD float largest(Vec a) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
  }
  MILLRACE_SIMD bool all_finite(Vec a) {  // x - x is 0 only for finite x
    return _mm256_movemask_ps(_mm256_cmp_ps(sub(a, a), zero(), _CMP_EQ_OQ)) == 0xFF;
  }

  // One pair of columns of a panel of weights: 16 rows each.
  struct Pair {
    Vec even[2], odd[2];
  };
  MILLRACE_SIMD void load_bf16(const std::byte* p, Pair& w) {
    const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xFFFF0000U));
    for (int i = 0; i < 2; ++i) {
      __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * i));
      w.even[i] = _mm256_castsi256_ps(_mm256_slli_epi32(raw, 16));
      w.odd[i] = _mm256_castsi256_ps(_mm256_and_si256(raw, mask));
    }
  }
  MILLRACE_SIMD void load_f16(const std::byte* p, Pair& w) {
    for (int i = 0; i < 2; ++i) {
      w.even[i] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * i)));
      w.odd[i] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 32 + 16 * i)));
    }
  }
  MILLRACE_SIMD void load_f32(const std::byte* p, Pair& w) {
    for (int i = 0; i < 2; ++i) {
      w.even[i] = load(reinterpret_cast<const float*>(p + 32 * i));
      w.odd[i] = load(reinterpret_cast<const float*>(p + 64 + 32 * i));
    }
  }
  MILLRACE_SIMD void prefetch(const std::byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

  // rows[i] lane j becomes rows[j] lane i.
  MILLRACE_SIMD void transpose(Vec (&r)[8]) {
    Vec t[8];
    for (int i = 0; i < 8; i += 4) {
      Vec ab = _mm256_unpacklo_ps(r[i], r[i + 1]);
      Vec cd = _mm256_unpacklo_ps(r[i + 2], r[i + 3]);
      Vec ef = _mm256_unpackhi_ps(r[i], r[i + 1]);
      Vec gh = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
      t[i] = _mm256_shuffle_ps(ab, cd, 0x44);
      t[i + 1] = _mm256_shuffle_ps(ab, cd, 0xEE);
      t[i + 2] = _mm256_shuffle_ps(ef, gh, 0x44);
      t[i + 3] = _mm256_shuffle_ps(ef, gh, 0xEE);
    }
    for (int j = 0; j < 4; ++j) {
      r[j] = _mm256_permute2f128_ps(t[j], t[j + 4], 0x20);
      r[j + 4] = _mm256_permute2f128_ps(t[j], t[j + 4], 0x31);
    }
  }

 private:
  MILLRACE_SIMD __m256i first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

}  // namespace millrace::engine::cpu
