// Batch normalization: statistics, values and gradients column by column. A member of a team takes
// whole columns, so there is nothing to wait for and no sum is divided.
#pragma once

#include "../math/two_sum.h"
#include "blocks.h"
#include "columns.h"
#include "elementwise.h"

namespace onepass::ONEPASS_ISA {
namespace {

// 1 / sqrt(variance + epsilon). Through memory: vectors have no square root of their own.
template <class T>
ONEPASS_INLINE typename Simd<T>::V inverse_deviation(typename Simd<T>::V variance, double epsilon) {
  constexpr int width = Simd<T>::kWidth;
  const auto least = static_cast<T>(epsilon);
  alignas(64) T lanes[width];
  Simd<T>::store(lanes, variance);
  for (int l = 0; l < width; ++l) lanes[l] = T(1) / math::sqrt(lanes[l] + least);
  return Simd<T>::load(lanes);
}

// What turns x into y = (x - mean) scale + shift, of each column.
template <class C>
struct Affine {
  using V = typename C::V;
  V mean[C::kVectors], scale[C::kVectors], shift[C::kVectors];

  // The low part of the mean goes into the shift.
  template <class T>
  ONEPASS_INLINE void set(const C& at, int v, V high, V low, V inverse, const T* gamma,
                          const T* beta) {
    mean[v] = high;
    scale[v] = at.load(gamma, v, T(1)) * inverse;
    shift[v] = at.load(beta, v, T(0)) - low * scale[v];
  }

  template <class T>
  ONEPASS_INLINE void apply(const C& at, Matrix<const T> x, Matrix<T> y) const {
    for (int64_t r = 0; r < x.rows; ++r) {
      ONEPASS_UNROLL(4)
      for (int v = 0; v < C::kVectors; ++v) {
        at.store(y.row(r), v, (at.load(x.row(r), v) - mean[v]) * scale[v] + shift[v]);
      }
    }
  }
};

// The mean first, then the variance of what is left. Values are taken relative to the first row: of
// a large mean with a small variance little is lost that way, and with n rows whose first is far
// from all others at most sqrt(n) units in the last place of the deviation.
template <class T, class C>
void normalize_columns(const BatchNormForward<T>& a, const C& at) {
  using V = typename C::V;
  const int64_t n = a.x.rows;
  const V count = Simd<T>::broadcast(static_cast<T>(n > 0 ? n : 1));
  V first[C::kVectors];
  for (int v = 0; v < C::kVectors; ++v) first[v] = n > 0 ? at.load(a.x.data, v) : V{};
  const auto sums =
      sum_rows<1>(at, n, [&](int64_t r, int v, auto& part) __attribute__((always_inline)) {
        part.at[0][v] = part.at[0][v] + (at.load(a.x.row(r), v) - first[v]);
      });
  V mean[C::kVectors], low[C::kVectors];
  for (int v = 0; v < C::kVectors; ++v) {
    mean[v] = math::two_sum(first[v], sums.at[0][v] / count, low[v]);
  }
  const auto squares =
      sum_rows<1>(at, n, [&](int64_t r, int v, auto& part) __attribute__((always_inline)) {
        const V d = (at.load(a.x.row(r), v) - mean[v]) - low[v];
        part.at[0][v] = part.at[0][v] + d * d;
      });
  Affine<C> affine;
  for (int v = 0; v < C::kVectors; ++v) {
    const V variance = squares.at[0][v] / count;
    const V inverse = inverse_deviation<T>(variance, a.epsilon);
    affine.set(at, v, mean[v], low[v], inverse, a.gamma, a.beta);
    at.store(a.statistics.row(kMeanRow), v, mean[v]);
    at.store(a.statistics.row(kMeanLowRow), v, low[v]);
    at.store(a.statistics.row(kVarianceRow), v, variance);
    at.store(a.statistics.row(kInverseRow), v, inverse);
  }
  affine.apply(at, a.x, a.z ? a.z : a.y);
}

template <class T, class C>
void normalize_columns(const BatchNormInference<T>& a, const C& at) {
  using V = typename C::V;
  Affine<C> affine;
  for (int v = 0; v < C::kVectors; ++v) {
    const V mean = at.load(a.moving_mean, v), variance = at.load(a.moving_variance, v);
    const V inverse = inverse_deviation<T>(variance, a.epsilon);
    affine.set(at, v, mean, V{}, inverse, a.gamma, a.beta);
    if (!a.statistics) continue;
    at.store(a.statistics.row(kMeanRow), v, mean);
    at.store(a.statistics.row(kMeanLowRow), v, V{});
    at.store(a.statistics.row(kVarianceRow), v, variance);
    at.store(a.statistics.row(kInverseRow), v, inverse);
  }
  affine.apply(at, a.x, a.z ? a.z : a.y);
}

template <class T>
Matrix<T> columns_of(Matrix<T> m, Range cols) {
  return {m.data + cols.begin, m.rows, cols.end - cols.begin, m.stride};
}

// Both forward kernels: a member's columns, then their activation while they are in its cache.
template <class T, class Arguments>
void normalize(const Arguments& a, Team& team) {
  const Range share = team.share(a.y.cols, kLineBytes / sizeof(T));
  if (share.begin == share.end) return;
  for_columns<T>(share, [&](const auto& at) { normalize_columns(a, at); });
  if (a.activation.id == 0) return;
  Team alone{0, 1, nullptr, nullptr};
  const Matrix<T> z = columns_of(a.z ? a.z : a.y, share);
  activation_forward<T>({{z.data, z.rows, z.cols, z.stride}, columns_of(a.y, share), a.activation},
                        alone);
}

template <class T>
void batch_norm_forward(const BatchNormForward<T>& a, Team& team) {
  normalize<T>(a, team);
}

template <class T>
void batch_norm_inference(const BatchNormInference<T>& a, Team& team) {
  normalize<T>(a, team);
}

// With d = x - mean: dbeta = sum dy, dgamma = sum dy d / deviation,
// dx = gamma / deviation (dy - mean of dy - d / deviation (mean of dy d / deviation)).
template <class T, class C>
void differentiate_columns(const BatchNormBackward<T>& a, const C& at) {
  using V = typename C::V;
  const int64_t n = a.dy.rows;
  const V count = Simd<T>::broadcast(static_cast<T>(n > 0 ? n : 1));
  V mean[C::kVectors], low[C::kVectors], inverse[C::kVectors], scale[C::kVectors];
  for (int v = 0; v < C::kVectors; ++v) {
    mean[v] = at.load(a.statistics.row(kMeanRow), v);
    low[v] = at.load(a.statistics.row(kMeanLowRow), v);
    inverse[v] = at.load(a.statistics.row(kInverseRow), v);
    scale[v] = at.load(a.gamma, v, T(1)) * inverse[v];
  }
  const auto from_mean = [&](int64_t r, int v) __attribute__((always_inline)) {
    return (at.load(a.x.row(r), v) - mean[v]) - low[v];
  };
  ColumnSums<C, 2> sums{};
  if (!a.fixed || a.dgamma != nullptr || a.dbeta != nullptr) {
    sums = sum_rows<2>(at, n, [&](int64_t r, int v, auto& part) __attribute__((always_inline)) {
      const V dy = at.load(a.dy.row(r), v);
      part.at[0][v] = part.at[0][v] + dy;
      part.at[1][v] = part.at[1][v] + dy * from_mean(r, v);
    });
  }
  V shift[C::kVectors], slope[C::kVectors];
  for (int v = 0; v < C::kVectors; ++v) {
    const V dgamma = sums.at[1][v] * inverse[v];
    if (a.dbeta != nullptr) at.put(a.dbeta, v, sums.at[0][v], a.accumulate_beta);
    if (a.dgamma != nullptr) at.put(a.dgamma, v, dgamma, a.accumulate_gamma);
    shift[v] = sums.at[0][v] / count;
    slope[v] = dgamma / count * inverse[v];
  }
  if (!a.dx) return;
  for (int64_t r = 0; r < n; ++r) {
    ONEPASS_UNROLL(4)
    for (int v = 0; v < C::kVectors; ++v) {
      V dy = at.load(a.dy.row(r), v);
      if (!a.fixed) dy = dy - shift[v] - from_mean(r, v) * slope[v];
      at.put(a.dx.row(r), v, dy * scale[v], a.accumulate);
    }
  }
}

template <class T>
void batch_norm_backward(const BatchNormBackward<T>& a, Team& team) {
  const Range share = team.share(a.dy.cols, kLineBytes / sizeof(T));
  for_columns<T>(share, [&](const auto& at) { differentiate_columns(a, at); });
}

template <class T>
void moving_statistics(const MovingStatistics<T>& a, Team& team) {
  const auto kept = static_cast<T>(a.momentum), taken = static_cast<T>(1.0 - a.momentum);
  const Range share = team.share(a.statistics.cols, kLineBytes / sizeof(T));
  const T *mean = a.statistics.row(kMeanRow), *variance = a.statistics.row(kVarianceRow);
  ONEPASS_IVDEP
  for (int64_t c = share.begin; c < share.end; ++c) {
    a.mean[c] = a.mean[c] * kept + mean[c] * taken;
    a.variance[c] = a.variance[c] * kept + variance[c] * taken;
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
