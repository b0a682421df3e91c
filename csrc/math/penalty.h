// l1 sum |x| + l2 sum x^2 and its derivative. A factor of 0 leaves its term out: 0 * inf is NaN.
#pragma once

#include "hd.h"

namespace onepass::math {
namespace {

// Of the two sums.
template <class T>
ONEPASS_HD T penalty(T absolute, T squares, T l1, T l2) {
  return (l1 != T(0) ? l1 * absolute : T(0)) + (l2 != T(0) ? l2 * squares : T(0));
}

// With respect to one element; 0 at 0. The sign is finite, so that l1 = 0 needs no care, and loops
// over this become vectors.
template <class T>
ONEPASS_HD T penalty_derivative(T x, T l1, T l2) {
  const T sign = x > T(0) ? T(1) : x < T(0) ? T(-1) : x;  // keeps 0 and NaN
  const T slope = l1 * sign;
  return l2 != T(0) ? slope + T(2) * l2 * x : slope;
}

}  // namespace
}  // namespace onepass::math
