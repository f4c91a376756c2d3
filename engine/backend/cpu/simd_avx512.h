// Sixteen floats at a time with AVX-512. Only translation units compiled for it include this file; all members are
// inlined so that no code of this instruction set can be shared with others.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define MILLRACE_SIMD [[gnu::always_inline]] static inline

namespace millrace::engine::cpu {

struct Avx512 {
  using Vec = __m512;
  static constexpr int kWidth = 16;
  static constexpr int kGemmVecs = 4;      // by 6 rows: 24 sums in 32 registers
  static constexpr int kMaxTileRows = 14;  // a tile of activation rows that one pass over a panel serves
  // Panels that a tile of `rows` multiplies at once: as many sums as registers hold, besides weights and activations.
  static constexpr int tile_panels(int rows) { return rows <= 6 ? 4 : rows <= 9 ? 3 : 2; }

  MILLRACE_SIMD Vec zero() { return _mm512_setzero_ps(); }
  MILLRACE_SIMD Vec all(float x) { return _mm512_set1_ps(x); }
  MILLRACE_SIMD Vec load(const float* p) { return _mm512_loadu_ps(p); }
  MILLRACE_SIMD void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
  MILLRACE_SIMD Vec load_first(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  MILLRACE_SIMD void store_first(float* p, Vec v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }

  MILLRACE_SIMD Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
  MILLRACE_SIMD Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
  MILLRACE_SIMD Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
  MILLRACE_SIMD Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
  MILLRACE_SIMD Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }  // a * b + c
  MILLRACE_SIMD Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }              // b where a is NaN
  MILLRACE_SIMD Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
  MILLRACE_SIMD Vec round(Vec a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // a * 2^n for whole n in [-126, 127].
  MILLRACE_SIMD Vec scale_by_power(Vec a, Vec n) { return _mm512_scalef_ps(a, n); }
  MILLRACE_SIMD float sum(Vec a) { return _mm512_reduce_add_ps(a); }
  MILLRACE_SIMD float largest(Vec a) { return _mm512_reduce_max_ps(a); }
  MILLRACE_SIMD bool all_finite(Vec a) {
    return _mm512_fpclass_ps_mask(a, 0x99) == 0;
  }  // quiet, signalling, +-infinity

  // One pair of columns of a panel of weights: 16 rows each.
  struct Pair {
    Vec even[1], odd[1];
  };
  MILLRACE_SIMD void load_bf16(const std::byte* p, Pair& w) {
    __m512i raw = _mm512_loadu_si512(p);
    w.even[0] = _mm512_castsi512_ps(_mm512_slli_epi32(raw, 16));
    w.odd[0] = _mm512_castsi512_ps(_mm512_and_si512(raw, _mm512_set1_epi32(static_cast<int>(0xFFFF0000U))));
  }
  MILLRACE_SIMD void load_f16(const std::byte* p, Pair& w) {
    w.even[0] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    w.odd[0] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32)));
  }
  MILLRACE_SIMD void load_f32(const std::byte* p, Pair& w) {
    w.even[0] = load(reinterpret_cast<const float*>(p));
    w.odd[0] = load(reinterpret_cast<const float*>(p + 64));
  }
  MILLRACE_SIMD void prefetch(const std::byte* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

  // rows[i] lane j becomes rows[j] lane i.
  MILLRACE_SIMD void transpose(Vec (&r)[16]) {
    Vec t[16];
    for (int i = 0; i < 16; i += 4) {
      Vec ab = _mm512_unpacklo_ps(r[i], r[i + 1]);
      Vec cd = _mm512_unpacklo_ps(r[i + 2], r[i + 3]);
      Vec ef = _mm512_unpackhi_ps(r[i], r[i + 1]);
      Vec gh = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
      t[i] = halves(_mm512_unpacklo_pd(doubles(ab), doubles(cd)));
      t[i + 1] = halves(_mm512_unpackhi_pd(doubles(ab), doubles(cd)));
      t[i + 2] = halves(_mm512_unpacklo_pd(doubles(ef), doubles(gh)));
      t[i + 3] = halves(_mm512_unpackhi_pd(doubles(ef), doubles(gh)));
    }
    // t[4g + j] holds columns j, j + 4, j + 8, j + 12 of rows 4g..4g+3, one in each quarter.
    for (int j = 0; j < 4; ++j) {
      Vec low01 = _mm512_shuffle_f32x4(t[j], t[j + 4], 0x88);
      Vec low23 = _mm512_shuffle_f32x4(t[j + 8], t[j + 12], 0x88);
      Vec high01 = _mm512_shuffle_f32x4(t[j], t[j + 4], 0xDD);
      Vec high23 = _mm512_shuffle_f32x4(t[j + 8], t[j + 12], 0xDD);
      r[j] = _mm512_shuffle_f32x4(low01, low23, 0x88);
      r[j + 8] = _mm512_shuffle_f32x4(low01, low23, 0xDD);
      r[j + 4] = _mm512_shuffle_f32x4(high01, high23, 0x88);
      r[j + 12] = _mm512_shuffle_f32x4(high01, high23, 0xDD);
    }
  }

 private:
  MILLRACE_SIMD __mmask16 first(int n) { return static_cast<__mmask16>((1U << n) - 1U); }
  MILLRACE_SIMD __m512d doubles(Vec v) { return _mm512_castps_pd(v); }
  MILLRACE_SIMD Vec halves(__m512d v) { return _mm512_castpd_ps(v); }
};

}  // namespace millrace::engine::cpu
