// Activations, softmax and their derivatives on matrices of their own (not fused into a product).
#pragma once

#include "../kernels.h"
#include "../math/activations.h"
#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Calls f(row pointer offsets, first column, last column) for a member's share of the elements:
// as one long row where the views leave no gaps, else by rows.
template <class F, class... M>
void for_runs(Team& team, int64_t rows, int64_t cols, F&& f, const M&... views) {
  const bool gapless = ((!views || views.stride == cols) && ...);
  if (gapless) {
    const Range share = team.share(rows * cols, 1024);
    f(0, share.begin, share.end);
    return;
  }
  const Range share = team.share(rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) f(r, 0, cols);
}

template <class T>
void activation_forward(const ActivationForward<T>& a, Team& team) {
  math::Activations::visit(a.activation.id, [&](auto formula) {
    using F = decltype(formula);
    const auto h = math::hyper_from<F, T>(a.activation.hyper);
    for_runs(
        team, a.y.rows, a.y.cols,
        [&](int64_t r, int64_t begin, int64_t end) {
          const auto own = h;  // may not alias y: vectorised even where this is not inlined
          const T* x = a.x.row(r);
          T* y = a.y.row(r);
          ONEPASS_IVDEP
          for (int64_t i = begin; i < end; ++i) y[i] = F::value(x[i], own);
        },
        a.x, a.y);
  });
}

template <class T>
void activation_backward(const ActivationBackward<T>& a, Team& team) {
  math::Activations::visit(a.activation.id, [&](auto formula) {
    using F = decltype(formula);
    const auto h = math::hyper_from<F, T>(a.activation.hyper);
    for_runs(
        team, a.dx.rows, a.dx.cols,
        [&](int64_t r, int64_t begin, int64_t end) {
          const auto own = h;
          const T* y = a.y.row(r);
          const T* x = F::kNeedsInput ? a.x.row(r) : y;
          const T* dy = a.dy.row(r);
          T* dx = a.dx.row(r);
          if (a.accumulate) {
            ONEPASS_IVDEP
            for (int64_t i = begin; i < end; ++i) dx[i] += dy[i] * F::derivative(x[i], y[i], own);
          } else {
            ONEPASS_IVDEP
            for (int64_t i = begin; i < end; ++i) dx[i] = dy[i] * F::derivative(x[i], y[i], own);
          }
        },
        a.x, a.y, a.dy, a.dx);
  });
}

// Maximum and sum of exp(x - maximum) of one row, the exponentials left in `e` when given.
template <class T>
struct RowExp {
  T max, sum;
};

template <class T>
RowExp<T> row_exp(const T* x, int64_t cols, T* e) {
  const T max = lane_max(x, cols);
  Lanes<T> sum;
  for_chunks(x, cols, max, [&](int64_t at, int n, const T* chunk) {
    T exps[kLanes];
    for (int l = 0; l < kLanes; ++l) exps[l] = math::exp(chunk[l] - max);
    sum.add(exps, n);
    if (e != nullptr) store_chunk(e + at, exps, n);
  });
  return {max, sum.total()};
}

template <class T>
void softmax(const Softmax<T>& a, Team& team) {
  const Range share = team.share(a.y.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    T* y = a.y.row(r);
    const T sum = row_exp(a.x.row(r), a.y.cols, y).sum;
    for (int64_t c = 0; c < a.y.cols; ++c) y[c] = y[c] / sum;
  }
}

// dx = y * (dy - sum(dy * y))
template <class T>
void softmax_backward(const SoftmaxBackward<T>& a, Team& team) {
  const Range share = team.share(a.dx.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* y = a.y.row(r);
    const T* dy = a.dy.row(r);
    T* dx = a.dx.row(r);
    Lanes<T> sum;
    for (int64_t c = 0; c < a.dx.cols; ++c) sum.at[c % kLanes] += dy[c] * y[c];
    const T dot = sum.total();
    if (a.accumulate) {
      for (int64_t c = 0; c < a.dx.cols; ++c) dx[c] += y[c] * (dy[c] - dot);
    } else {
      for (int64_t c = 0; c < a.dx.cols; ++c) dx[c] = y[c] * (dy[c] - dot);
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
