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

template <class T>
ONEPASS_INLINE T sum_of_lanes(typename Simd<T>::V v) {
  constexpr int width = Simd<T>::kWidth;
  alignas(64) T lanes[width];
  Simd<T>::store(lanes, v);
  for (int half = width / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

template <class T>
struct RowDots {
  T first, second;
};

// w . a and w . b
template <class T>
ONEPASS_INLINE RowDots<T> row_dots(const T* w, const T* a, const T* b, int64_t size) {
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
  return {sum_of_lanes<T>(first[0] + first[1]), sum_of_lanes<T>(second[0] + second[1])};
}

// dgamma of column c as it stands: for where the quotient would lose digits.
template <class T>
T dgamma_by_samples(const InputNorm<T>& norm, Matrix<const T> dz, const T* w, int64_t c) {
  const T mean = norm.statistics.row(kMeanRow)[c], low = norm.statistics.row(kMeanLowRow)[c];
  T sum = T(0);
  for (int64_t r = 0; r < dz.rows; ++r) {
    const T dy = row_dots(w, dz.row(r), dz.row(r), dz.cols).first;
    sum += dy * ((norm.x.row(r)[c] - mean) - low);
  }
  return sum * norm.statistics.row(kInverseRow)[c];
}

// Of the columns of y from `first` on, one a row of w, the weights before their update.
template <class T>
void norm_gradients(const InputNorm<T>& norm, Matrix<const T> dz, Matrix<const T> w,
                    Matrix<const T> dw, int64_t first) {
  constexpr T most = T(8), least = T(1e-20);  // of beta / gamma, and of gamma
  for (int64_t r = 0; r < w.rows; ++r) {
    const int64_t c = first + r;
    const RowDots<T> dots = row_dots(w.row(r), dw.row(r), norm.db, w.cols);
    if (norm.dbeta != nullptr) norm.dbeta[c] = dots.second;
    if (norm.dgamma == nullptr) continue;
    const T gamma = norm.gamma[c], beta = norm.beta != nullptr ? norm.beta[c] : T(0);
    const bool safe = math::abs(gamma) > least && math::abs(beta) <= most * math::abs(gamma);
    norm.dgamma[c] =
        safe ? (dots.first - beta * dots.second) / gamma : dgamma_by_samples(norm, dz, w.row(r), c);
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
