// Penalties on a matrix and constraints of one.
#pragma once

#include "../matrix.h"

namespace onepass {

// values[r] = sum over row r of l1 |x| + l2 x^2, in double; the gradient is that of scale times
// their sum. Either may be absent.
template <class T>
struct Penalty {
  Matrix<const T> x;
  double l1, l2;
  double* values;
  Matrix<T> gradient;
  double scale;
  bool accumulate;  // gradient += instead of gradient =
};

enum class Constraint : int { kNonNegative, kColumnNorms, kRowNorms };

// In place: x = max(x, 0), or each column or row of norm n times
// (rate * clamp(n, low, high) + (1 - rate) * n) / (n + epsilon).
template <class T>
struct Constrain {
  Matrix<T> x;
  Constraint kind;
  double low, high, rate, epsilon;
};

}  // namespace onepass
