// a^b from exponential and logarithm. In float by way of double, within 1 ulp; in double the error
// of the logarithm counts |b log a| times.
#pragma once

#include "elementary.h"

namespace onepass::math {
namespace {

// From 2^mantissa bits on every number is whole; below, adding and taking away 1.5 times that
// rounds.
template <class T>
ONEPASS_HD bool is_whole(T x) {
  constexpr T kShift = T(1.5) * Elementary<T>::kPow2Mantissa;
  const T rounded = (x + kShift) - kShift;
  return (abs(x) >= Elementary<T>::kPow2Mantissa) | (rounded == x);
}

// For a >= 0 and finite b: what loops over many numbers need of it.
ONEPASS_HD double power_of_positive(double a, double b) { return b == 0.0 ? 1.0 : exp(b * log(a)); }

ONEPASS_HD float power_of_positive(float a, float b) {
  return static_cast<float>(power_of_positive(static_cast<double>(a), static_cast<double>(b)));
}

ONEPASS_HD double power(double a, double b) {
  const double size = abs(a);
  // 1^b is 1 whatever b is: log 1 times infinity would be NaN.
  const double positive = size == 1.0 ? (is_nan(b) ? b : 1.0) : exp(b * log(size));
  const bool whole = is_whole(b);
  const bool odd = whole & !is_whole(0.5 * b);
  const bool negative = (to_bits(a) & Traits<double>::kSignMask) != 0;
  const bool end = (size == 0.0) | !is_finite(size);  // fractional powers of these are not NaN
  const double minus = odd ? -positive : (whole | end) ? positive : quiet_nan<double>();
  const double result = negative ? minus : positive;
  return (b == 0.0) | (a == 1.0) ? 1.0 : result;
}

ONEPASS_HD float power(float a, float b) {
  return static_cast<float>(power(static_cast<double>(a), static_cast<double>(b)));
}

}  // namespace
}  // namespace onepass::math
