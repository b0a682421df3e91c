// Random masks and noise.
#pragma once

#include "../matrix.h"
#include "step.h"

namespace onepass {

// What random words depend on, beside the place of a sample and the unit.
struct NoiseKey {
  uint32_t words[2];  // of the layer
  uint32_t draw;      // of the epoch or call
};

// Inverted dropout of a result, at the end of the kernel that computes it; none at a rate of 0.
struct DropoutEnd {
  double rate = 0.0;
  NoiseKey key = {};
  Position first = {};
  int64_t rows_per_sample = 1;
};

// y = scale x + shift where kept, a constant where dropped, by math/dropout.h; y may be x. Samples
// are at places `first` and on of their epoch, modulo 2^32.
template <class T>
struct Dropout {
  Matrix<const T> x;
  Matrix<T> y;
  double rate;    // from 0 to 1; at 1 all is dropped
  bool alpha;     // alpha dropout: what is dropped saturates, mean and variance stay
  bool gradient;  // of y with respect to x, times x
  NoiseKey key;
  Position first;
  int64_t rows_per_sample;
  bool accumulate;  // y += instead of y =
};

// y = x (1 + stddev n) where it multiplies, else x + stddev n, for standard normal deviates n.
template <class T>
struct Gaussian {
  Matrix<const T> x;
  Matrix<T> y;
  double stddev;
  bool multiplies;
  NoiseKey key;
  Position first;
  int64_t rows_per_sample;
  bool accumulate;
};

// y = x where x is above 0, else slope x, for slopes uniform in [lower, upper]. With `value`, which
// is the y of before, the gradient: x is that of the output.
template <class T>
struct RandomRelu {
  Matrix<const T> x, value;
  Matrix<T> y;
  double lower, upper;
  NoiseKey key;
  Position first;
  int64_t rows_per_sample;
  bool accumulate;
};

}  // namespace onepass
