// Numbers as a high and a low part.
#pragma once

#include "hd.h"

namespace onepass::math {
namespace {

// Returns a + b as rounded, and what rounding took from it (Knuth); of numbers or vectors.
template <class T>
ONEPASS_HD T two_sum(T a, T b, T& low) {
  const T sum = a + b;
  const T b_part = sum - a;
  low = (a - (sum - b_part)) + (b - b_part);
  return sum;
}

}  // namespace
}  // namespace onepass::math
