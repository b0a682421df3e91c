// Activations over rows beside softmax, and their derivatives.
#pragma once

#include "elementwise.h"

namespace onepass::ONEPASS_ISA {
namespace {

// dx (+)= what f gives for each chunk of a row.
template <class T, class F>
ONEPASS_DEVICE void write_row(T* dx, int64_t cols, bool accumulate, F&& f) {
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    Chunk<T> result = f(at, extent);
    if (accumulate) {
      const Chunk<T> old = load(dx + at, extent);
      result = lanewise<T>([&](int l) { return old.at[l] + result.at[l]; });
    }
    store(dx + at, result, extent);
  });
}

// y = x - max x - log sum exp(x - max x)
template <class T>
ONEPASS_LOOP void log_softmax(const Softmax<T>& a, Team& team) {
  const int64_t cols = a.y.cols;
  const Range share = team.share(a.y.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* x = a.x.row(r);
    const RowExp<T> row = row_exp<T>(x, cols, nullptr);
    const T log_sum = math::log(row.sum);
    write_row(a.y.row(r), cols, false, [&](int64_t at, auto extent) ONEPASS_FLAT {
      const Chunk<T> c = load(x + at, extent);
      return lanewise<T>([&](int l) { return (c.at[l] - row.max) - log_sum; });
    });
  }
}

// dx = dy - exp(y) sum dy
template <class T>
ONEPASS_LOOP void log_softmax_backward(const SoftmaxBackward<T>& a, Team& team) {
  const int64_t cols = a.dx.cols;
  const Range share = team.share(a.dx.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* y = a.y.row(r);
    const T* dy = a.dy.row(r);
    Lanes<T> sum;
    for_chunks(cols, [&](int64_t at, auto extent)
                         ONEPASS_FLAT { sum.add(load(dy + at, extent), extent); });
    const T total = sum.total();
    const auto slope = [&](int64_t at, auto extent) ONEPASS_FLAT {
      const Chunk<T> v = load(y + at, extent), d = load(dy + at, extent);
      return lanewise<T>([&](int l) { return d.at[l] - math::exp(v.at[l]) * total; });
    };
    write_row(a.dx.row(r), cols, a.accumulate, slope);
  }
}

// Number and sum of those elements of a row, less `max`, that are above `limit`.
template <class T>
struct Support {
  T count, sum;
};

template <class T>
ONEPASS_DEVICE Support<T> support_above(const T* x, int64_t cols, T max, T limit) {
  Lanes<T> count, sum;
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> c = load(x + at, extent);
    const Chunk<T> e = lanewise<T>([&](int l) { return c.at[l] - max; });
    count.add(lanewise<T>([&](int l) { return e.at[l] > limit ? T(1) : T(0); }), extent);
    sum.add(lanewise<T>([&](int l) { return e.at[l] > limit ? e.at[l] : T(0); }), extent);
  });
  return {count.total(), sum.total()};
}

// The t with sum max(x - max - t, 0) = 1. What is not within 1 of the largest is not in the
// support; of the rest each round drops what its threshold leaves nothing of, until all stays:
// Michelot, A Finite Algorithm for Finding the Projection of a Point onto the Canonical Simplex,
// 1986. NaN for a row with a NaN or without a largest finite number.
template <class T>
ONEPASS_DEVICE T sparsemax_threshold(const T* x, int64_t cols, T max) {
  Lanes<T> odd;
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> c = load(x + at, extent);
    const auto is_odd = [&](int l) { return math::is_nan(c.at[l] - max) ? T(1) : T(0); };
    odd.add(lanewise<T>(is_odd), extent);
  });
  if (odd.total() > T(0)) return math::quiet_nan<T>();
  T threshold = T(-1), kept = T(0);
  for (bool first = true;; first = false) {
    const Support<T> support = support_above(x, cols, max, threshold);
    // Counts only fall, so that rounding cannot make this go on for ever.
    if (support.count == T(0) || (!first && support.count >= kept)) return threshold;
    kept = support.count;
    threshold = (support.sum - T(1)) / kept;
  }
}

// y = max(x - t, 0), which sums to 1: Martins and Astudillo, From Softmax to Sparsemax, 2016.
template <class T>
ONEPASS_LOOP void sparsemax(const Softmax<T>& a, Team& team) {
  const int64_t cols = a.y.cols;
  const Range share = team.share(a.y.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* x = a.x.row(r);
    const T max = row_max(x, cols);
    const T threshold = sparsemax_threshold(x, cols, max);
    write_row(a.y.row(r), cols, false, [&](int64_t at, auto extent) ONEPASS_FLAT {
      const Chunk<T> c = load(x + at, extent);
      return lanewise<T>([&](int l) { return math::max((c.at[l] - max) - threshold, T(0)); });
    });
  }
}

// dx = dy - mean dy within the support, where y is above 0; 0 elsewhere, and NaN where y is
template <class T>
ONEPASS_LOOP void sparsemax_backward(const SoftmaxBackward<T>& a, Team& team) {
  const int64_t cols = a.dx.cols;
  const Range share = team.share(a.dx.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* y = a.y.row(r);
    const T* dy = a.dy.row(r);
    Lanes<T> count, sum;
    for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
      const Chunk<T> v = load(y + at, extent), d = load(dy + at, extent);
      count.add(lanewise<T>([&](int l) { return v.at[l] > T(0) ? T(1) : T(0); }), extent);
      sum.add(lanewise<T>([&](int l) { return v.at[l] > T(0) ? d.at[l] : T(0); }), extent);
    });
    const T mean = sum.total() / count.total();
    const auto slope = [&](int64_t at, auto extent) ONEPASS_FLAT {
      const Chunk<T> v = load(y + at, extent), d = load(dy + at, extent);
      return lanewise<T>([&](int l) { return v.at[l] > T(0) ? d.at[l] - mean : T(0) * v.at[l]; });
    };
    write_row(a.dx.row(r), cols, a.accumulate, slope);
  }
}

template <class T>
ONEPASS_LOOP void glu(const Glu<T>& a, Team& team) {
  const int64_t cols = a.y.cols;
  const Range share = team.share(a.y.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* x = a.x.row(r);
    T* y = a.y.row(r);
    for_elements(0, cols,
                 [&](int64_t c) ONEPASS_FLAT { y[c] = x[c] * math::sigmoid(x[cols + c]); });
  }
}

template <bool kAccumulate, class T>
ONEPASS_DEVICE void glu_backward_row(const T* x, const T* dy, T* dx, int64_t cols) {
  for_elements(0, cols, [&](int64_t c) ONEPASS_FLAT {
    const T gate = math::sigmoid(x[cols + c]);
    const T linear = dy[c] * gate, gated = dy[c] * x[c] * (gate * math::sigmoid(-x[cols + c]));
    dx[c] = kAccumulate ? dx[c] + linear : linear;
    dx[cols + c] = kAccumulate ? dx[cols + c] + gated : gated;
  });
}

template <class T>
ONEPASS_LOOP void glu_backward(const GluBackward<T>& a, Team& team) {
  const int64_t cols = a.dy.cols;
  const Range share = team.share(a.dy.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    if (a.accumulate) {
      glu_backward_row<true>(a.x.row(r), a.dy.row(r), a.dx.row(r), cols);
    } else {
      glu_backward_row<false>(a.x.row(r), a.dy.row(r), a.dx.row(r), cols);
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
