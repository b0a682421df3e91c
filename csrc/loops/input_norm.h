// The gradients of a batch norm whose result only goes into a product and whose own input needs
// none. With y = gamma h + beta before the product, w its weights and dw = y^T dz their gradient,
// the gradient of y is dz w^T, and of its columns' sums
//   dbeta  = sum dy   = w . db          (each row of w by db, the column sums of dz)
//   dgamma = sum dy h = (w . dw - beta dbeta) / gamma
// so that no product is needed for them, nor dy itself.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Whether gamma is so small, beside beta or at all, that the quotient would lose digits.
template <class T>
ONEPASS_DEVICE bool quotient_loses_digits(T gamma, T beta) {
  constexpr T most = T(8), least = T(1e-20);  // of beta / gamma, and of gamma
  const T size = math::abs(gamma);
  return !(size > least && math::abs(beta) <= most * size);
}

template <class T>
ONEPASS_DEVICE T dgamma_of_dots(T w_dw, T w_db, T gamma, T beta) {
  return (w_dw - beta * w_db) / gamma;
}

// dgamma of column c as it stands: for where the quotient would lose digits.
template <class T>
ONEPASS_LOOP T dgamma_by_samples(const InputNorm<T>& norm, Matrix<const T> dz, const T* w,
                                 int64_t c) {
  const T mean = norm.statistics.row(kMeanRow)[c], low = norm.statistics.row(kMeanLowRow)[c];
  T sum = T(0);
  for (int64_t r = 0; r < dz.rows; ++r) {
    T dy = T(0);
    for (int64_t j = 0; j < dz.cols; ++j) dy += dz.row(r)[j] * w[j];
    sum += dy * ((norm.x.row(r)[c] - mean) - low);
  }
  return sum * norm.statistics.row(kInverseRow)[c];
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
