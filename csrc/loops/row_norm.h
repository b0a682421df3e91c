// Layer, root mean square and unit normalization: rows by rows, in lanes; the gradients of gamma
// and beta by columns.
#pragma once

#include "../math/two_sum.h"
#include "lanes.h"
#include "put_columns.h"

namespace onepass::ONEPASS_ISA {
namespace {

constexpr double kLargestInverse = 1e12;  // of a norm, as in Keras

template <class T>
struct RowStatistics {
  T mean, low, inverse;

  ONEPASS_DEVICE T from_mean(T x) const { return (x - mean) - low; }
};

// sum of f(x) over a row
template <class T, class F>
ONEPASS_DEVICE T row_sum(const T* x, int64_t cols, F&& f) {
  Lanes<T> sum;
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> c = load(x + at, extent);
    sum.add(lanewise<T>([&](int l) { return f(c.at[l]); }), extent);
  });
  return sum.total();
}

template <class T>
ONEPASS_DEVICE RowStatistics<T> statistics_of(const RowNorm<T>& a, const T* x) {
  const int64_t cols = a.y.cols;
  if (cols == 0) return {};
  const auto count = static_cast<T>(cols);
  RowStatistics<T> row{};
  if (a.kind == RowNormKind::kLayer) {
    const T first = x[0];
    const T offset = row_sum(x, cols, [&](T v) { return v - first; }) / count;
    row.mean = math::two_sum(first, offset, row.low);
  }
  const T squares = row_sum(x, cols, [&](T v) {
    const T d = row.from_mean(v);
    return d * d;
  });
  if (a.kind == RowNormKind::kUnit) {
    const T inverse = T(1) / math::sqrt(squares);
    row.inverse = inverse > T(kLargestInverse) ? T(kLargestInverse) : inverse;  // keeps NaN
  } else {
    row.inverse = T(1) / math::sqrt(squares / count + static_cast<T>(a.epsilon));
  }
  return row;
}

template <class T, class Extent>
ONEPASS_DEVICE Chunk<T> load_or(const T* row, int64_t at, Extent extent, T otherwise) {
  return row == nullptr ? lanewise<T>([&](int) { return otherwise; }) : load(row + at, extent);
}

template <class T>
ONEPASS_LOOP void row_norm(const RowNorm<T>& a, Team& team) {
  const Range share = team.share(a.y.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* x = a.x.row(r);
    const RowStatistics<T> row = statistics_of(a, x);
    T* kept = a.statistics.row(r);
    if (leads()) kept[0] = row.mean, kept[1] = row.low, kept[2] = row.inverse;
    together();  // y may be x, of which all have read the first element
    for_chunks(a.y.cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
      const Chunk<T> c = load(x + at, extent);
      const Chunk<T> gamma = load_or(a.gamma, at, extent, T(1));
      const Chunk<T> beta = load_or(a.beta, at, extent, T(0));
      store(a.y.row(r) + at, lanewise<T>([&](int l) {
              return row.from_mean(c.at[l]) * row.inverse * gamma.at[l] + beta.at[l];
            }),
            extent);
    });
  }
}

// With g = dy gamma and h = (x - mean) inverse, the normalized row:
// dx = inverse (g - mean of g - h (mean of g h)); the first mean where one was subtracted, and the
// sum in place of the second where the sum of squares was not divided.
template <class T>
ONEPASS_DEVICE void differentiate_row(const RowNormBackward<T>& a, int64_t r) {
  const int64_t cols = a.dx.cols;
  const auto count = static_cast<T>(cols);
  const T *x = a.x.row(r), *dy = a.dy.row(r), *kept = a.statistics.row(r);
  const RowStatistics<T> row{kept[0], kept[1], kept[2]};
  Lanes<T> sum, dot;
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> c = load(x + at, extent), d = load(dy + at, extent);
    const Chunk<T> gamma = load_or(a.gamma, at, extent, T(1));
    const Chunk<T> g = lanewise<T>([&](int l) { return d.at[l] * gamma.at[l]; });
    sum.add(g, extent);
    dot.add(lanewise<T>([&](int l) { return g.at[l] * row.from_mean(c.at[l]); }), extent);
  });
  const bool unit = a.kind == RowNormKind::kUnit;
  const bool clamped = unit && row.inverse == T(kLargestInverse);  // then a constant
  const T shift = a.kind == RowNormKind::kLayer ? sum.total() / count : T(0);
  const T mean_dot = unit ? dot.total() : dot.total() / count;
  const T slope = clamped ? T(0) : mean_dot * row.inverse * row.inverse;
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> c = load(x + at, extent), d = load(dy + at, extent);
    const Chunk<T> gamma = load_or(a.gamma, at, extent, T(1));
    Chunk<T> result = lanewise<T>([&](int l) {
      return (d.at[l] * gamma.at[l] - shift - row.from_mean(c.at[l]) * slope) * row.inverse;
    });
    if (a.accumulate) {
      const Chunk<T> old = load(a.dx.row(r) + at, extent);
      result = lanewise<T>([&](int l) { return old.at[l] + result.at[l]; });
    }
    store(a.dx.row(r) + at, result, extent);
  });
}

// dbeta = sum of dy, dgamma = sum of dy h
template <class T>
ONEPASS_LOOP void sum_gradients(const RowNormBackward<T>& a, Range cols, T* area) {
  const int64_t size = cols.end - cols.begin;
  const Matrix<const T> x = columns_of(a.x, cols), dy = columns_of(a.dy, cols);
  const auto term = [&](auto at) ONEPASS_FLAT {
    return [=, &a](int64_t r, auto& into) ONEPASS_FLAT {
      const T* row = a.statistics.row(r);
      const auto d = at.load(dy.row(r));
      into[0] = into[0] + d;
      const auto mean = at.all(row[0]), low = at.all(row[1]), inverse = at.all(row[2]);
      into[1] = into[1] + d * (((at.load(x.row(r)) - mean) - low) * inverse);
    };
  };
  T *dbeta = area, *dgamma = area + size;
  sum_rows(a.dy.rows, size,
           {ColumnSum<T>{dbeta, area + 2 * size}, ColumnSum<T>{dgamma, area + 3 * size}}, term);
  put_columns(columns_of(a.dbeta, cols), dbeta, size, a.accumulate_beta);
  put_columns(columns_of(a.dgamma, cols), dgamma, size, a.accumulate_gamma);
}

// The gradient of x, by rows.
template <class T>
ONEPASS_LOOP void row_norm_input_gradient(const RowNormBackward<T>& a, Team& team) {
  const Range rows = team.share(a.dy.rows, 1);
  for (int64_t r = rows.begin; r < rows.end; ++r) differentiate_row(a, r);
}

// Those of gamma and beta, by columns.
template <class T>
ONEPASS_LOOP void row_norm_own_gradients(const RowNormBackward<T>& a, ColumnTeam& team) {
  for_columns<T>(a.dy.cols, 4, team,
                 [&](Range cols) { sum_gradients(a, cols, static_cast<T*>(team.scratch)); });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
