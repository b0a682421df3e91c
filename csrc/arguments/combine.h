// Arguments of the kernels that put tensors together: arithmetic with broadcasting, columns of
// wider matrices, sums, rows of a table.
#pragma once

#include "../matrix.h"

namespace onepass {

// A matrix read as one with more rows or columns: row r is its row (r / repeat) % rows, so that
// each row comes `repeat` times in a row and all of them come again; a single column stands for
// all.
template <class T>
struct Spread {
  Matrix<T> matrix;
  int64_t repeat = 1;

  ONEPASS_INLINE T* row(int64_t r) const { return matrix.row(r / repeat % matrix.rows); }
};

// y = op(a, b), element by element; y may be a or b where that one is not spread.
template <class T>
struct Combine {
  int op;  // index in math/binary.h
  Spread<const T> a, b;
  Matrix<T> y;
};

// dx (+)= dy * d op / d a, or d b, summed up over what dx is spread over, rows in ascending order.
// a and b may be absent where the derivatives are constants.
template <class T>
struct CombineBackward {
  int op;
  bool of_second;  // the gradient is that of b
  Spread<const T> a, b;
  Matrix<const T> dy;
  Spread<T> dx;
  bool accumulate;
};

// y (+)= scale * x; without x, y = 0.
template <class T>
struct ScaledCopy {
  Spread<const T> x;
  Matrix<T> y;
  double scale;
  bool accumulate;
};

// y (+)= scale * the sum of x over what y is spread over, rows in ascending order: the gradient of
// ScaledCopy.
template <class T>
struct ScaledSum {
  Matrix<const T> x;
  Spread<T> y;
  double scale;
  bool accumulate;
};

// y[r] = table[index], the indices being whole numbers row by row; NaN where there is no such row.
template <class T>
struct Embedding {
  Matrix<const T> index, table;
  Matrix<T> y;
};

// dtable[index] += dy[r], in the order of the rows; dtable = 0 before that unless `accumulate`.
template <class T>
struct EmbeddingBackward {
  Matrix<const T> index, dy;
  Matrix<T> dtable;
  bool accumulate;
};

}  // namespace onepass
