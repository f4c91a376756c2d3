// Small float matrix products for attention and the delta rule: C (m, n) = or += A B, with A read one broadcast at a
// time at any strides and B, C row-major. Every element of C adds its products in order of k.
#pragma once

#include <cstdint>

namespace millrace::engine::cpu::fast {

struct Factor {  // A: element (i, k) at data[i * row + k * col]
  const float* data = nullptr;
  std::int64_t row = 0;
  std::int64_t col = 1;
};

struct GemmSize {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
};

// Rows x (Vecs vectors) of C, of which the last vector has `lanes` columns.
template <class S, int Rows, int Vecs, bool Accumulate>
void gemm_tile(const Factor& a, const float* b, std::int64_t ldb, std::int64_t k_count, float* c, std::int64_t ldc,
               int lanes) {
  typename S::Vec acc[Rows][Vecs];
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < Vecs; ++v) {
      const float* from = c + r * ldc + v * S::kWidth;
      acc[r][v] = !Accumulate ? S::zero() : v + 1 == Vecs ? S::load_first(from, lanes) : S::load(from);
    }
  }
  for (std::int64_t k = 0; k < k_count; ++k) {
    const float* row = b + k * ldb;
    const float* column = a.data + k * a.col;
    typename S::Vec w[Vecs];
#pragma GCC unroll 4
    for (int v = 0; v < Vecs; ++v) {
      w[v] = v + 1 == Vecs ? S::load_first(row + v * S::kWidth, lanes) : S::load(row + v * S::kWidth);
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const typename S::Vec x = S::all(column[r * a.row]);
#pragma GCC unroll 4
      for (int v = 0; v < Vecs; ++v) acc[r][v] = S::fma(w[v], x, acc[r][v]);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < Vecs; ++v) {
      float* to = c + r * ldc + v * S::kWidth;
      if (v + 1 == Vecs) {
        S::store_first(to, acc[r][v], lanes);
      } else {
        S::store(to, acc[r][v]);
      }
    }
  }
}

// All rows of C for one group of columns.
template <class S, int Vecs, bool Accumulate>
void gemm_columns(std::int64_t m, Factor a, const float* b, std::int64_t ldb, std::int64_t k, float* c,
                  std::int64_t ldc, int lanes) {
  constexpr int kRows = 6;
  std::int64_t i = 0;
  for (; i + kRows <= m; i += kRows, a.data += kRows * a.row, c += kRows * ldc) {
    gemm_tile<S, kRows, Vecs, Accumulate>(a, b, ldb, k, c, ldc, lanes);
  }
  if (m - i >= 3) {
    gemm_tile<S, 3, Vecs, Accumulate>(a, b, ldb, k, c, ldc, lanes);
    i += 3;
    a.data += 3 * a.row;
    c += 3 * ldc;
  }
  for (; i < m; ++i, a.data += a.row, c += ldc) gemm_tile<S, 1, Vecs, Accumulate>(a, b, ldb, k, c, ldc, lanes);
}

template <class S, bool Accumulate>
void gemm(const GemmSize& size, const Factor& a, const float* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  constexpr int kVecs = S::kGemmVecs;
  constexpr int kW = S::kWidth;
  std::int64_t n = 0;
  for (; n + kVecs * kW <= size.n; n += kVecs * kW) {
    gemm_columns<S, kVecs, Accumulate>(size.m, a, b + n, ldb, size.k, c + n, ldc, kW);
  }
  for (; n < size.n; n += kW) {
    const int lanes = size.n - n < kW ? static_cast<int>(size.n - n) : kW;
    gemm_columns<S, 1, Accumulate>(size.m, a, b + n, ldb, size.k, c + n, ldc, lanes);
  }
}

// to[c * ld + r] = row(r)[c]; `ld` >= count.
template <class S, class RowOf>
void transpose_rows(const RowOf& row, std::int64_t count, std::int64_t cols, std::int64_t ld, float* to) {
  constexpr int kW = S::kWidth;
  for (std::int64_t r0 = 0; r0 < count; r0 += kW) {
    const int here = count - r0 < kW ? static_cast<int>(count - r0) : kW;
    std::int64_t c = 0;
    for (; c + kW <= cols; c += kW) {
      typename S::Vec block[kW];
#pragma GCC unroll 16
      for (int r = 0; r < kW; ++r) block[r] = r < here ? S::load(row(r0 + r) + c) : S::zero();
      S::transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < kW; ++i) S::store_first(to + (c + i) * ld + r0, block[i], here);
    }
    for (; c < cols; ++c) {
      for (int r = 0; r < here; ++r) to[c * ld + r0 + r] = row(r0 + r)[c];
    }
  }
}

}  // namespace millrace::engine::cpu::fast
