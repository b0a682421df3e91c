// Losses with their gradients, and accuracies: one value a row. The formulas are math/losses.h.
#pragma once

#include "../math/losses.h"
#include "elementwise.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class F, class T>
void elementwise_loss(const Loss<T>& a, Team& team) {
  const auto h = math::hyper_from<F, T>(a.hyper);
  const int64_t cols = a.prediction.cols;
  const Range share = team.share(a.prediction.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* y = a.target.dense.row(r);
    const T* p = a.prediction.row(r);
    if (a.values != nullptr) {
      Lanes<T> sum;
      for_chunks(p, cols, T(0), [&](int64_t at, int n, const T* chunk) {
        T truth[kLanes] = {}, terms[kLanes];
        for (int l = 0; l < n; ++l) truth[l] = y[at + l];
        for (int l = 0; l < kLanes; ++l) terms[l] = F::value(truth[l], chunk[l], h);
        sum.add(terms, n);
      });
      a.values[r] = sum.total() / static_cast<T>(cols);
    }
    if (a.gradient) {
      const double weight = a.weights != nullptr ? static_cast<double>(a.weights[r]) : 1.0;
      const T scale = static_cast<T>(a.scale * weight / static_cast<double>(cols));
      T* g = a.gradient.row(r);
      // The gradient may overwrite the prediction: each element is read before it is written.
      ONEPASS_IVDEP
      for (int64_t c = 0; c < cols; ++c) g[c] = scale * F::gradient(y[c], p[c], h);
    }
  }
}

// Smoothed target of class c in row r.
template <class F, class T>
struct RowTarget {
  const T* dense;
  int32_t index;
  T classes;
  typename F::template Hyper<T> h;

  ONEPASS_INLINE T operator()(int64_t c) const {
    const T y = dense != nullptr ? dense[c] : c == index ? T(1) : T(0);
    return h.label_smoothing == T(0) ? y : F::smooth(y, classes, h);
  }
};

template <class F, class T>
RowTarget<F, T> row_target(const Loss<T>& a, int64_t r) {
  const bool sparse = a.target.index != nullptr;
  return {sparse ? nullptr : a.target.dense.row(r), sparse ? a.target.index[r] : -1,
          static_cast<T>(a.prediction.cols), math::hyper_from<F, T>(a.hyper)};
}

template <class T>
T row_scale(const Loss<T>& a, int64_t r) {
  const double weight = a.weights != nullptr ? static_cast<double>(a.weights[r]) : 1.0;
  return static_cast<T>(a.scale * weight);
}

template <class F, class T>
void crossentropy_of_logits(const Loss<T>& a, int64_t r) {
  const T* z = a.prediction.row(r);
  const int64_t cols = a.prediction.cols;
  const auto target = row_target<F>(a, r);
  T* g = a.gradient ? a.gradient.row(r) : nullptr;
  T* p = a.probabilities ? a.probabilities.row(r) : nullptr;
  T* e = p != nullptr ? p : g;  // where the exponentials go, if anywhere
  const RowExp<T> exps = row_exp(z, cols, static_cast<T*>(nullptr));
  const T log_sum = math::log(exps.sum);
  if (a.values != nullptr) {
    Lanes<T> sum;
    if (a.target.index != nullptr && target.h.label_smoothing == T(0)) {
      // the one term that is not 0
      sum.at[0] = F::term(T(1), z[target.index] - exps.max - log_sum);
    } else {
      for (int64_t c = 0; c < cols; ++c) {
        sum.at[c % kLanes] += F::term(target(c), z[c] - exps.max - log_sum);
      }
    }
    a.values[r] = sum.total();
  }
  if (e == nullptr) return;
  T target_sum = T(0);
  for (int64_t c = 0; c < cols && g != nullptr; ++c) target_sum += target(c);
  const T scale = row_scale(a, r);
  for_chunks(z, cols, exps.max, [&](int64_t at, int n, const T* chunk) {
    T q[kLanes];
    for (int l = 0; l < kLanes; ++l) q[l] = math::exp(chunk[l] - exps.max) / exps.sum;
    if (p != nullptr) store_chunk(p + at, q, n);
    if (g == nullptr) return;
    for (int l = 0; l < n; ++l) {
      g[at + l] = scale * F::gradient(target(at + l), target_sum, q[l]);
    }
  });
}

// value = sum_j term(t_j, q_j) with q = p / s, s = sum p; by the chain rule
// d/dp_j = (slope_j - sum_k slope_k q_k) / s.
template <class F, class T>
void crossentropy_of_probabilities(const Loss<T>& a, int64_t r) {
  const T* p = a.prediction.row(r);
  const int64_t cols = a.prediction.cols;
  const auto target = row_target<F>(a, r);
  Lanes<T> mass;
  for_chunks(p, cols, T(0), [&](int64_t, int n, const T* chunk) { mass.add(chunk, n); });
  const T s = mass.total();
  if (a.values != nullptr) {
    Lanes<T> sum;
    for (int64_t c = 0; c < cols; ++c) sum.at[c % kLanes] += F::term(target(c), p[c] / s);
    a.values[r] = sum.total();
  }
  if (!a.gradient) return;
  Lanes<T> mean;
  for (int64_t c = 0; c < cols; ++c) {
    const T q = p[c] / s;
    mean.at[c % kLanes] += F::slope(target(c), q) * q;
  }
  const T centre = mean.total();
  const T scale = row_scale(a, r);
  T* g = a.gradient.row(r);
  for (int64_t c = 0; c < cols; ++c) g[c] = scale * ((F::slope(target(c), p[c] / s) - centre) / s);
}

template <class T>
void loss(const Loss<T>& a, Team& team) {
  if (math::ElementwiseLosses::visit(
          a.id, [&](auto formula) { elementwise_loss<decltype(formula)>(a, team); })) {
    if (!a.probabilities) return;
    // Only sigmoid losses ask for these, from logits that the gradient has not overwritten.
    const Range share = team.share(a.prediction.rows, 1);
    for (int64_t r = share.begin; r < share.end; ++r) {
      const T* z = a.prediction.row(r);
      T* p = a.probabilities.row(r);
      for (int64_t c = 0; c < a.prediction.cols; ++c) p[c] = math::sigmoid(z[c]);
    }
    return;
  }
  math::RowLosses::visit(a.id - math::ElementwiseLosses::kSize, [&](auto formula) {
    using F = decltype(formula);
    const Range share = team.share(a.prediction.rows, 1);
    for (int64_t r = share.begin; r < share.end; ++r) {
      if constexpr (F::kFromLogits) {
        crossentropy_of_logits<F>(a, r);
      } else {
        crossentropy_of_probabilities<F>(a, r);
      }
    }
  });
}

// First place of the largest element, as NumPy's argmax: a NaN counts as largest.
template <class T>
int64_t argmax(const T* x, int64_t size) {
  int64_t best = 0;
  for (int64_t i = 1; i < size; ++i) {
    if (x[best] == x[best] && (x[i] > x[best] || x[i] != x[i])) best = i;
  }
  return best;
}

template <class T>
void row_accuracy(const RowAccuracy<T>& a, Team& team) {
  const int64_t cols = a.prediction.cols;
  const T threshold = static_cast<T>(a.threshold);
  const Range share = team.share(a.prediction.rows, 16);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* p = a.prediction.row(r);
    if (a.kind == Accuracy::kBinary) {
      const T* y = a.target.dense.row(r);
      int64_t right = 0;
      for (int64_t c = 0; c < cols; ++c) right += y[c] == (p[c] > threshold ? T(1) : T(0));
      a.values[r] = static_cast<T>(right) / static_cast<T>(cols);
    } else {
      const int64_t truth = a.kind == Accuracy::kSparseCategorical
                                ? static_cast<int64_t>(a.target.index[r])
                                : argmax(a.target.dense.row(r), cols);
      a.values[r] = argmax(p, cols) == truth ? T(1) : T(0);
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
