// A step of Adafactor, whose states are smaller than the parameter.
#pragma once

#include "update.h"

namespace onepass {

// Matrices one behind the other, `rows` lines of `cols` elements each, `stride` apart; or, with
// rows = 0, a vector, cut in lines of kNormBlock elements.
struct Lines {
  int64_t rows, cols, stride, count;
  int64_t first = 0;  // of the partial sums, where several tensors share an array of them
};

// In three kernels with a barrier behind each: the means, then for line i partial[2 i] = the sum of
// squares of the parameters and partial[2 i + 1] = that of u, then the step.
template <class T>
struct Factored {
  Segment<T> segment;  // its states: r, one a line, and c, `cols` a matrix; or v alone
  Lines lines;
  double keep, take, added;
  double least_mean, least_variance;
  Around around;  // but for l2 and penalties
  const Beside<T>* beside;
  Beyond beyond;
  double* partial;
  double step = 0.0;
};

}  // namespace onepass
