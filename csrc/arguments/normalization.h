// Arguments of the normalization kernels.
#pragma once

#include "../matrix.h"

namespace onepass {

// Rows of the statistics of a batch, one column for each of x. The mean is the sum of two numbers,
// so that what is left of a large mean after subtracting it has all of its digits.
inline constexpr int kMeanRow = 0, kMeanLowRow = 1, kVarianceRow = 2, kInverseRow = 3;
inline constexpr int kBatchStatistics = 4;

// y = act(gamma (x - mean) / sqrt(variance + epsilon) + beta), mean and (biased) variance being
// those of each column. `gamma` and `beta` may be absent; `z`, when given, receives the value
// before the activation. y may be x.
template <class T>
struct BatchNormForward {
  Matrix<const T> x;
  const T *gamma, *beta;
  Matrix<T> z, y;
  Matrix<T> statistics;
  double epsilon;
  ActivationSpec activation;
};

// The same with a mean and a variance that are given. `statistics` may be absent.
template <class T>
struct BatchNormInference {
  Matrix<const T> x;
  const T *moving_mean, *moving_variance;
  const T *gamma, *beta;
  Matrix<T> z, y;
  Matrix<T> statistics;
  double epsilon;
  ActivationSpec activation;
};

// Gradients of the two above, for each of which the statistics tell all about x that it needs.
// Whichever of dx, dgamma and dbeta is not wanted is absent. dx may be x or dy.
template <class T>
struct BatchNormBackward {
  Matrix<const T> x, dy, statistics;
  const T* gamma;
  Matrix<T> dx;
  T *dgamma, *dbeta;
  bool fixed;  // statistics that were given: they do not change with x
  bool accumulate, accumulate_gamma, accumulate_beta;
};

// A batch norm whose result is the x of a dense update and whose own input needs no gradient: those
// of gamma and beta follow from the weights and their gradient. `db` are the column sums of dz.
// With at most kMostNormUnits units, of which a stripe of the gradient holds whole rows.
inline constexpr int64_t kMostNormUnits = 1000;
template <class T>
struct InputNorm {
  Matrix<const T> x, statistics;
  const T *gamma, *beta, *db;
  T *dgamma, *dbeta;
};

// moving = momentum moving + (1 - momentum) of the batch, for mean and variance.
template <class T>
struct MovingStatistics {
  Matrix<const T> statistics;
  T *mean, *variance;
  double momentum;
};

// What a row is divided by: its standard deviation, after its mean is subtracted; its root mean
// square; its Euclidean norm.
enum class RowNormKind : int { kLayer, kRms, kUnit };

// Of each row: the mean, as the sum of two numbers, and what (x - mean) is multiplied by.
inline constexpr int kRowStatistics = 3;

// y = gamma (x - mean) * inverse + beta, row by row. y may be x.
template <class T>
struct RowNorm {
  RowNormKind kind;
  Matrix<const T> x;
  const T *gamma, *beta;
  Matrix<T> y;
  Matrix<T> statistics;
  double epsilon;  // unless kUnit
};

// dx may be absent, and so may dgamma and dbeta; it overlaps nothing else.
template <class T>
struct RowNormBackward {
  RowNormKind kind;
  Matrix<const T> x, dy, statistics;
  const T* gamma;
  Matrix<T> dx;
  T *dgamma, *dbeta;
  bool accumulate, accumulate_gamma, accumulate_beta;
};

}  // namespace onepass
