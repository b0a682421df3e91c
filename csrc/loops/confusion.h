// Counts of right and wrong answers at many thresholds at once: each prediction goes to the bucket
// of those that exceed as many thresholds, so that a count at a threshold is a sum of buckets.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// How many thresholds a prediction exceeds; NaN exceeds none.
template <class T>
ONEPASS_DEVICE int64_t exceeded(const ConfusionCounts<T>& a, T p) {
  if (a.thresholds == nullptr) {
    // p outside [0, 1] counts as 0 or 1, as in Keras
    const T place = math::clamp(p, T(0), T(1)) * static_cast<T>(a.n_thresholds - 1);
    if (!(place == place)) return 0;
    const auto whole = static_cast<int64_t>(place);
    const int64_t above = whole + (static_cast<T>(whole) < place ? 1 : 0);
    return above < a.least ? a.least : above;
  }
  int64_t low = 0, high = a.n_thresholds;  // the first that is not exceeded
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (p > a.thresholds[middle]) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// The last element of a row in descending order that is among its k largest; of equal ones the
// first counts as larger.
template <class T>
struct Cutoff {
  T value;
  int64_t place;

  ONEPASS_DEVICE bool holds(T x, int64_t at) const {
    return x > value || (x == value && at <= place);
  }
};

template <class T>
ONEPASS_DEVICE Cutoff<T> kth_largest(const T* x, int64_t cols, int64_t k) {
  Cutoff<T> last{math::infinity<T>(), -1};
  for (int64_t i = 0; i < k; ++i) {
    Cutoff<T> next{-math::infinity<T>(), cols};
    for (int64_t c = 0; c < cols; ++c) {
      if (!last.holds(x[c], c) && (x[c] > next.value || (x[c] == next.value && c < next.place))) {
        next = {x[c], c};
      }
    }
    if (next.place == cols) break;  // fewer than k numbers
    last = next;
  }
  return last;
}

// Few adds to few places: one member does them in the order of the rows; by column, each its own.
template <class T>
ONEPASS_LOOP void confusion_counts(const ConfusionCounts<T>& a, Team& team) {
  if (!a.by_column && team.rank != 0) return;
  const int64_t buckets = a.n_thresholds + 1;
  Range own{0, a.columns.end - a.columns.begin};
  if (a.by_column) own = team.share(own.end, 1);
  for (int64_t r = 0; r < a.prediction.rows; ++r) {
    const double weight = a.weights != nullptr ? static_cast<double>(a.weights[r]) : 1.0;
    if (weight == 0.0 || own.begin == own.end) continue;
    const T* y = a.target.row(r);
    const T* p = a.prediction.row(r);
    const bool some = a.top_k > 0;
    const Cutoff<T> cutoff = some ? kth_largest(p, a.prediction.cols, a.top_k) : Cutoff<T>{};
    const auto count = [&](int64_t i) {
      const int64_t c = a.columns.begin + i;
      const bool left_out = some && !cutoff.holds(p[c], c);
      const int64_t bucket = left_out ? 0 : exceeded(a, p[c]);
      double* counts = a.counts + (a.by_column ? 2 * i * buckets : 0);
      counts[(y[c] != T(0) ? 0 : buckets) + bucket] += weight;
    };
    if (a.by_column) {
      for_elements(own.begin, own.end, count);
    } else if (leads()) {
      for (int64_t i = own.begin; i < own.end; ++i) count(i);
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
