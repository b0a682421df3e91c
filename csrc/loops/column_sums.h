// Sums over the rows of each column, in double and in the order of the rows: members have columns
// of their own.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// NaN where the row has one: nothing is as large as that.
template <class T>
ONEPASS_DEVICE T largest_or_nan(const T* x, int64_t cols) {
  const auto element = [&](int64_t c) ONEPASS_FLAT { return x[c]; };
  return fold_elements(cols, -math::infinity<T>(), element,
                       [](T a, T b) { return math::max(a, b); });
}

template <class T>
ONEPASS_DEVICE void add_hits(const ColumnSums<T>& a, const T* y, const T* p, double weight,
                             Range own) {
  const int64_t cols = a.prediction.cols;
  const T limit = a.largest ? largest_or_nan(p, cols) : static_cast<T>(a.threshold);
  for_elements(own.begin, own.end, [&](int64_t c) ONEPASS_FLAT {
    // As in Keras: a row of zeros has no largest.
    const bool above = a.largest ? p[c] >= limit && math::abs(p[c]) > T(1e-9) : p[c] > limit;
    const double truth = weight * static_cast<double>(y[c]);
    if (above) {
      a.sums[c] += truth;
      a.sums[cols + c] += weight;
    }
    a.sums[2 * cols + c] += truth;
  });
}

template <class T>
ONEPASS_DEVICE void add_errors(const ColumnSums<T>& a, const T* y, const T* p, double weight,
                               Range own) {
  const int64_t cols = a.prediction.cols;
  for_elements(own.begin, own.end, [&](int64_t c) ONEPASS_FLAT {
    const auto truth = static_cast<double>(y[c]);
    const double error = truth - static_cast<double>(p[c]);
    a.sums[c] += weight * (error * error);
    a.sums[cols + c] += weight * truth;
    a.sums[2 * cols + c] += weight * (truth * truth);
    a.sums[3 * cols + c] += weight;
  });
}

template <class T>
ONEPASS_LOOP void column_sums(const ColumnSums<T>& a, Team& team) {
  const Range own = team.share(a.prediction.cols, kLanes);
  if (a.kind == ColumnSumKind::kErrors) {
    double* rows = a.sums + 4 * a.prediction.cols;
    for_elements(own.begin, own.end, [&](int64_t c) ONEPASS_FLAT {
      rows[c] += static_cast<double>(a.prediction.rows);
    });
  }
  for (int64_t r = 0; r < a.prediction.rows; ++r) {
    const double weight = a.weights != nullptr ? static_cast<double>(a.weights[r]) : 1.0;
    // A row of weight 0 is left out even where it is not finite.
    if (weight == 0.0 || own.begin == own.end) continue;
    if (a.kind == ColumnSumKind::kHits) {
      add_hits(a, a.target.row(r), a.prediction.row(r), weight, own);
    } else {
      add_errors(a, a.target.row(r), a.prediction.row(r), weight, own);
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
