// The gradients of a batch norm whose result only goes into a product and whose own input needs
// none. With y = gamma h + beta before the product, w its weights and dw = y^T dz their gradient,
// the gradient of y is dz w^T, and of its columns' sums
//   dbeta  = sum dy   = w . db          (each row of w by db, the column sums of dz)
//   dgamma = sum dy h = (w . dw - beta dbeta) / gamma
// so that no product is needed for them, nor dy itself.
#pragma once

#include "columns.h"

namespace onepass::ONEPASS_ISA {
namespace {

// w . a and w . b, each still in the lanes of a vector.
template <class T>
ONEPASS_INLINE void row_dots(const T* w, const T* a, const T* b, int64_t size,
                             typename Simd<T>::V& with_a, typename Simd<T>::V& with_b) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr int64_t width = S::kWidth;
  V first[2] = {}, second[2] = {};
  const auto add = [&](int k, V row, V x, V y) __attribute__((always_inline)) {
    first[k] = S::fma(row, x, first[k]);
    second[k] = S::fma(row, y, second[k]);
  };
  int64_t i = 0;
  for (; i + 2 * width <= size; i += 2 * width) {
    add(0, S::load(w + i), S::load(a + i), S::load(b + i));
    add(1, S::load(w + i + width), S::load(a + i + width), S::load(b + i + width));
  }
  for (; i < size; i += width) {
    const int n = static_cast<int>(size - i < width ? size - i : width);
    add(0, S::load(w + i, n), S::load(a + i, n), S::load(b + i, n));
  }
  with_a = first[0] + first[1];
  with_b = second[0] + second[1];
}

// The sums of the lanes of each vector.
template <class T>
ONEPASS_INLINE void sum_lanes(typename Simd<T>::V (&square)[Simd<T>::kWidth], T* sums) {
  transpose<T>(square);
  typename Simd<T>::V total = square[0];
  ONEPASS_UNROLL(16)
  for (int l = 1; l < Simd<T>::kWidth; ++l) total = total + square[l];
  Simd<T>::store(sums, total);
}

// dgamma of column c as it stands: for where the quotient would lose digits.
template <class T>
T dgamma_by_samples(const InputNorm<T>& norm, Matrix<const T> dz, const T* w, int64_t c) {
  const T mean = norm.statistics.row(kMeanRow)[c], low = norm.statistics.row(kMeanLowRow)[c];
  T sum = T(0);
  for (int64_t r = 0; r < dz.rows; ++r) {
    T dy = T(0);
    for (int64_t j = 0; j < dz.cols; ++j) dy += dz.row(r)[j] * w[j];
    sum += dy * ((norm.x.row(r)[c] - mean) - low);
  }
  return sum * norm.statistics.row(kInverseRow)[c];
}

// Of the columns of y from `first` on, one a row of w, the weights before their update.
template <class T>
void norm_gradients(const InputNorm<T>& norm, Matrix<const T> dz, Matrix<const T> w,
                    Matrix<const T> dw, int64_t first) {
  using V = typename Simd<T>::V;
  constexpr int width = Simd<T>::kWidth;
  constexpr T most = T(8), least = T(1e-20);  // of beta / gamma, and of gamma
  for (int64_t r = 0; r < w.rows; r += width) {
    const int n = static_cast<int>(w.rows - r < width ? w.rows - r : width);
    V with_dw[width] = {}, with_db[width] = {};
    for (int i = 0; i < n; ++i) {
      row_dots(w.row(r + i), dw.row(r + i), norm.db, w.cols, with_dw[i], with_db[i]);
    }
    alignas(64) T w_dw[width], w_db[width];
    sum_lanes<T>(with_dw, w_dw);
    sum_lanes<T>(with_db, w_db);
    for (int i = 0; i < n; ++i) {
      const int64_t c = first + r + i;
      if (norm.dbeta != nullptr) norm.dbeta[c] = w_db[i];
      if (norm.dgamma == nullptr) continue;
      const T gamma = norm.gamma[c], beta = norm.beta != nullptr ? norm.beta[c] : T(0);
      const bool safe = math::abs(gamma) > least && math::abs(beta) <= most * math::abs(gamma);
      norm.dgamma[c] =
          safe ? (w_dw[i] - beta * w_db[i]) / gamma : dgamma_by_samples(norm, dz, w.row(r + i), c);
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
