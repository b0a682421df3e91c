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

// w . dw and w . db of kRows rows from r on, each still in the lanes of a vector.
template <class T, int kRows>
ONEPASS_INLINE void row_dots(Matrix<const T> w, Matrix<const T> dw, int64_t r, const T* db,
                             typename Simd<T>::V* with_dw, typename Simd<T>::V* with_db) {
  using S = Simd<T>;
  constexpr int64_t width = S::kWidth;
  typename S::V sums[kRows] = {}, others[kRows] = {};
  const auto add = [&](int64_t c, auto... n) __attribute__((always_inline)) {
    const auto b = S::load(db + c, n...);
    ONEPASS_UNROLL(4)
    for (int i = 0; i < kRows; ++i) {
      const auto row = S::load(w.row(r + i) + c, n...);
      sums[i] = S::fma(row, S::load(dw.row(r + i) + c, n...), sums[i]);
      others[i] = S::fma(row, b, others[i]);
    }
  };
  int64_t c = 0;
  for (; c + width <= w.cols; c += width) add(c);
  if (c < w.cols) add(c, static_cast<int>(w.cols - c));
  ONEPASS_UNROLL(4)
  for (int i = 0; i < kRows; ++i) with_dw[i] = sums[i], with_db[i] = others[i];
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
  constexpr T zeros[width] = {};
  for (int64_t r = 0; r < w.rows; r += width) {
    const int n = static_cast<int>(w.rows - r < width ? w.rows - r : width);
    V with_dw[width] = {}, with_db[width] = {};
    int done = 0;
    for (; done + 4 <= n; done += 4) {
      row_dots<T, 4>(w, dw, r + done, norm.db, with_dw + done, with_db + done);
    }
    for (; done < n; ++done) {
      row_dots<T, 1>(w, dw, r + done, norm.db, with_dw + done, with_db + done);
    }
    alignas(64) T w_dw[width], w_db[width];
    sum_lanes<T>(with_dw, w_dw);
    sum_lanes<T>(with_db, w_db);
    const int64_t c = first + r;
    if (norm.dbeta != nullptr) put(norm.dbeta + c, w_db, n, false);
    if (norm.dgamma == nullptr) continue;
    const T *gamma = norm.gamma + c, *beta = norm.beta != nullptr ? norm.beta + c : zeros;
    T* const dgamma = norm.dgamma + c;
    const auto loses_digits = [=](int i) __attribute__((always_inline)) {
      const T size = math::abs(gamma[i]);
      return !(size > least && math::abs(beta[i]) <= most * size);
    };
    int lost = 0;
    ONEPASS_IVDEP
    for (int i = 0; i < n; ++i) {
      dgamma[i] = (w_dw[i] - beta[i] * w_db[i]) / gamma[i];
      lost += loses_digits(i) ? 1 : 0;
    }
    for (int i = 0; lost > 0 && i < n; ++i) {
      if (loses_digits(i)) dgamma[i] = dgamma_by_samples(norm, dz, w.row(r + i), c + i);
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
