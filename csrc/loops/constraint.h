// Constraints of parameters, in place. Norms are added up in double: down a column in the order of
// its rows, along a row in fixed lanes.
#pragma once

#include "../math/hd.h"
#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
ONEPASS_DEVICE T norm_factor(const Constrain<T>& a, double squares) {
  const double norm = math::sqrt(squares);
  const double rest = a.rate < 1.0 ? (1.0 - a.rate) * norm : 0.0;  // 0 * inf would be NaN
  const double desired = a.rate * math::clamp(norm, a.low, a.high) + rest;
  return static_cast<T>(desired / (a.epsilon + norm));
}

template <class T>
ONEPASS_LOOP void clear_negative(const Constrain<T>& a, Team& team) {
  const Range share = team.share(a.x.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    T* x = a.x.row(r);
    for_elements(0, a.x.cols,
                 [&](int64_t c) ONEPASS_FLAT { x[c] = x[c] <= T(0) ? T(0) : x[c]; });  // keeps NaN
  }
}

template <class T>
ONEPASS_LOOP void limit_columns(const Constrain<T>& a, Range cols) {
  const int64_t n = cols.end - cols.begin;
  Held<double> sums;
  Held<T> factors;
  for_elements(0, n, [&](int64_t c) ONEPASS_FLAT { sums[c] = 0.0; });
  for (int64_t r = 0; r < a.x.rows; ++r) {
    const T* x = a.x.row(r) + cols.begin;
    for_elements(0, n, [&](int64_t c) ONEPASS_FLAT {
      const double wide = static_cast<double>(x[c]);
      sums[c] += wide * wide;
    });
  }
  for_elements(0, n, [&](int64_t c) ONEPASS_FLAT { factors[c] = norm_factor(a, sums[c]); });
  for (int64_t r = 0; r < a.x.rows; ++r) {
    T* x = a.x.row(r) + cols.begin;
    for_elements(0, n, [&](int64_t c) ONEPASS_FLAT { x[c] *= factors[c]; });
  }
}

template <class T>
ONEPASS_LOOP void limit_row(const Constrain<T>& a, int64_t r) {
  T* x = a.x.row(r);
  Lanes<double> sum;
  for_chunks(a.x.cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> c = load(x + at, extent);
    sum.add(lanewise<double>([&](int l) {
              const double wide = static_cast<double>(c.at[l]);
              return wide * wide;
            }),
            extent);
  });
  const T factor = norm_factor(a, sum.total());
  for_elements(0, a.x.cols, [&](int64_t c) ONEPASS_FLAT { x[c] *= factor; });
}

template <class T>
ONEPASS_LOOP void constrain(const Constrain<T>& a, Team& team) {
  if (a.kind == Constraint::kNonNegative) return clear_negative(a, team);
  if (a.kind == Constraint::kRowNorms) {
    const Range share = team.share(a.x.rows, 1);
    for (int64_t r = share.begin; r < share.end; ++r) limit_row(a, r);
    return;
  }
  const Range share = team.share(a.x.cols, kLanes);
  for (int64_t c = share.begin; c < share.end; c += kHeld) {
    limit_columns(a, {c, c + kHeld < share.end ? c + kHeld : share.end});
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
