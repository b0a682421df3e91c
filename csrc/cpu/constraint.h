// Constraints of parameters, in place. Norms are added up in double: down a column in the order of
// its rows, along a row in fixed lanes.
#pragma once

#include "../math/hd.h"
#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
ONEPASS_INLINE T norm_factor(const Constrain<T>& a, double squares) {
  const double norm = math::sqrt(squares);
  const double rest = a.rate < 1.0 ? (1.0 - a.rate) * norm : 0.0;  // 0 * inf would be NaN
  const double desired = a.rate * math::clamp(norm, a.low, a.high) + rest;
  return static_cast<T>(desired / (a.epsilon + norm));
}

template <class T>
void clear_negative(const Constrain<T>& a, Team& team) {
  const Range share = team.share(a.x.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    T* x = a.x.row(r);
    ONEPASS_IVDEP
    for (int64_t c = 0; c < a.x.cols; ++c) x[c] = x[c] <= T(0) ? T(0) : x[c];  // keeps NaN
  }
}

constexpr int64_t kNormColumns = 256;  // whose sums and factors stay in the first-level cache

template <class T>
void limit_columns(const Constrain<T>& a, Range cols) {
  const int64_t n = cols.end - cols.begin;
  double sums[kNormColumns];
  T factors[kNormColumns];
  for (int64_t c = 0; c < n; ++c) sums[c] = 0.0;
  for (int64_t r = 0; r < a.x.rows; ++r) {
    const T* x = a.x.row(r) + cols.begin;
    ONEPASS_IVDEP
    for (int64_t c = 0; c < n; ++c) {
      const double wide = static_cast<double>(x[c]);
      sums[c] += wide * wide;
    }
  }
  for (int64_t c = 0; c < n; ++c) factors[c] = norm_factor(a, sums[c]);
  for (int64_t r = 0; r < a.x.rows; ++r) {
    T* x = a.x.row(r) + cols.begin;
    ONEPASS_IVDEP
    for (int64_t c = 0; c < n; ++c) x[c] *= factors[c];
  }
}

template <class T>
void limit_row(const Constrain<T>& a, int64_t r) {
  T* x = a.x.row(r);
  Lanes<double> sum;
  for_chunks(a.x.cols, [&](int64_t at, auto extent) __attribute__((always_inline)) {
    const Chunk<T> c = load(x + at, extent);
    sum.add(lanewise<double>([&](int l) {
              const double wide = static_cast<double>(c.at[l]);
              return wide * wide;
            }),
            extent);
  });
  const T factor = norm_factor(a, sum.total());
  ONEPASS_IVDEP
  for (int64_t c = 0; c < a.x.cols; ++c) x[c] *= factor;
}

template <class T>
void constrain(const Constrain<T>& a, Team& team) {
  if (a.kind == Constraint::kNonNegative) return clear_negative(a, team);
  if (a.kind == Constraint::kRowNorms) {
    const Range share = team.share(a.x.rows, 1);
    for (int64_t r = share.begin; r < share.end; ++r) limit_row(a, r);
    return;
  }
  const Range share = team.share(a.x.cols, kLanes);
  for (int64_t c = share.begin; c < share.end; c += kNormColumns) {
    limit_columns(a, {c, c + kNormColumns < share.end ? c + kNormColumns : share.end});
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
