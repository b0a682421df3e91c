// Activations, softmax and their derivatives on matrices of their own (not fused into a product).
#pragma once

#include "../math/functions.h"
#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Calls f(row pointer offsets, first column, last column) for a member's share of the elements:
// as one long row where the views leave no gaps, else by rows.
template <class F, class... M>
ONEPASS_LOOP void for_runs(Team& team, int64_t rows, int64_t cols, F&& f, const M&... views) {
  const bool gapless = ((!views || views.stride == cols) && ...);
  if (gapless) {
    const Range share = team.share(rows * cols, kGrain);
    f(0, share.begin, share.end);
    return;
  }
  const Range share = team.share(rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) f(r, 0, cols);
}

template <class T>
ONEPASS_LOOP void activation_forward(const ActivationForward<T>& a, Team& team) {
  math::Elementwise::visit(a.activation.id, [&](auto formula) {
    using F = decltype(formula);
    const auto h = math::hyper_from<F, T>(a.activation.hyper);
    for_runs(
        team, a.y.rows, a.y.cols,
        [&](int64_t r, int64_t begin, int64_t end) {
          const auto own = h;  // may not alias y: vectorised even where this is not inlined
          const T* x = a.x.row(r);
          T* y = a.y.row(r);
          for_elements(begin, end, [&](int64_t i) ONEPASS_FLAT { y[i] = F::value(x[i], own); });
        },
        a.x, a.y);
  });
}

template <class T>
ONEPASS_LOOP void activation_backward(const ActivationBackward<T>& a, Team& team) {
  math::Elementwise::visit(a.activation.id, [&](auto formula) {
    using F = decltype(formula);
    const auto h = math::hyper_from<F, T>(a.activation.hyper);
    for_runs(
        team, a.dx.rows, a.dx.cols,
        [&](int64_t r, int64_t begin, int64_t end) {
          const auto own = h;
          // A derivative uses the input or the value, never both.
          const T* of = F::kNeedsInput ? a.x.row(r) : a.y.row(r);
          const T* dy = a.dy.row(r);
          T* dx = a.dx.row(r);
          if (a.accumulate) {
            for_elements(begin, end, [&](int64_t i) ONEPASS_FLAT {
              dx[i] += dy[i] * F::derivative(of[i], of[i], own);
            });
          } else {
            for_elements(begin, end, [&](int64_t i) ONEPASS_FLAT {
              dx[i] = dy[i] * F::derivative(of[i], of[i], own);
            });
          }
        },
        a.x, a.y, a.dy, a.dx);
  });
}

// What of a row does not fill a chunk stays in registers: what a mask has stored is slow to read
// back. A short row is all rest.
template <class T>
struct RowExp {
  T max, sum;
  Chunk<T> rest;
};

template <class T>
ONEPASS_DEVICE Chunk<T> exp_of_difference(const Chunk<T>& x, T max) {
  return lanewise<T>([&](int l) { return math::exp(x.at[l] - max); });
}

template <class T>
ONEPASS_DEVICE Chunk<T> divided(const Chunk<T>& x, T by) {
  return lanewise<T>([&](int l) { return x.at[l] / by; });
}

// Maximum and sum of exp(x - max) over a row; the exponentials of whole chunks go to `kept`, if
// given. A NaN is passed over by the maximum and comes back through its exponential.
template <class T>
ONEPASS_DEVICE RowExp<T> row_exp(const T* x, int64_t cols, T* kept) {
  RowExp<T> row;
  row.max = row_max(x, cols);
  Lanes<T> sum;
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> e = exp_of_difference(load(x + at, extent), row.max);
    sum.add(e, extent);
    if constexpr (extent.kPart) {
      row.rest = e;
    } else {
      if (kept != nullptr) store(kept + at, e, extent);
    }
  });
  row.sum = sum.total();
  return row;
}

template <class T>
ONEPASS_LOOP void softmax(const Softmax<T>& a, Team& team) {
  const int64_t cols = a.y.cols;
  const Range share = team.share(a.y.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    T* y = a.y.row(r);
    const RowExp<T> row = row_exp(a.x.row(r), cols, y);
    for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
      if constexpr (extent.kPart) {
        store(y + at, divided(row.rest, row.sum), extent);
      } else {
        store(y + at, divided(load(y + at, extent), row.sum), extent);
      }
    });
  }
}

// dx = y * (dy - sum(dy * y))
template <class T>
ONEPASS_LOOP void softmax_backward(const SoftmaxBackward<T>& a, Team& team) {
  const int64_t cols = a.dx.cols;
  const Range share = team.share(a.dx.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* y = a.y.row(r);
    const T* dy = a.dy.row(r);
    T* dx = a.dx.row(r);
    Lanes<T> sum;
    for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
      const Chunk<T> p = load(y + at, extent), d = load(dy + at, extent);
      sum.add(lanewise<T>([&](int l) { return d.at[l] * p.at[l]; }), extent);
    });
    const T dot = sum.total();
    for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
      const Chunk<T> p = load(y + at, extent), d = load(dy + at, extent);
      Chunk<T> result = lanewise<T>([&](int l) { return p.at[l] * (d.at[l] - dot); });
      if (a.accumulate) {
        const Chunk<T> old = load(dx + at, extent);
        result = lanewise<T>([&](int l) { return old.at[l] + result.at[l]; });
      }
      store(dx + at, result, extent);
    });
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
