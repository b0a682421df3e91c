// Losses with their gradients: one value a row. The formulas are math/losses.h.
#pragma once

#include "../math/losses.h"
#include "elementwise.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Of Loss or other arguments with weights, which may be absent, and scale.
template <template <class> class A, class T>
ONEPASS_LOOP T row_scale(const A<T>& a, int64_t r) {
  const double weight = a.weights != nullptr ? static_cast<double>(a.weights[r]) : 1.0;
  return static_cast<T>(a.scale * weight);
}

// Rows of one element without gaps: all of them are one run.
template <class F, class T>
ONEPASS_LOOP void loss_of_one_column(const Loss<T>& a, Range rows) {
  const auto h = math::hyper_from<F, T>(a.hyper);
  const T *y = a.target.dense.data, *p = a.prediction.data;
  if (a.values != nullptr) {
    T* values = a.values;
    for_elements(rows.begin, rows.end,
                 [&](int64_t r) ONEPASS_FLAT { values[r] = F::value(y[r], p[r], h); });
  }
  if (a.gradient) {
    const Loss<T> own = a;  // may not alias g
    T* g = a.gradient.data;
    for_elements(rows.begin, rows.end, [&](int64_t r) ONEPASS_FLAT {
      g[r] = row_scale(own, r) * F::gradient(y[r], p[r], h);
    });
  }
}

template <class F, class T>
ONEPASS_LOOP void elementwise_loss(const Loss<T>& a, Team& team) {
  const auto h = math::hyper_from<F, T>(a.hyper);
  const int64_t cols = a.prediction.cols;
  if (cols == 1 && a.prediction.stride == 1 && a.target.dense.stride == 1 &&
      (!a.gradient || a.gradient.stride == 1)) {
    return loss_of_one_column<F>(a, team.share(a.prediction.rows, kLanes));
  }
  const Range share = team.share(a.prediction.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* y = a.target.dense.row(r);
    const T* p = a.prediction.row(r);
    if (a.values != nullptr) {
      Lanes<T> sum;
      for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
        const Chunk<T> truth = load(y + at, extent), guess = load(p + at, extent);
        sum.add(lanewise<T>([&](int l) { return F::value(truth.at[l], guess.at[l], h); }), extent);
      });
      const T total = sum.total();
      if (leads()) a.values[r] = F::kMean ? total / static_cast<T>(cols) : total;
    }
    if (a.gradient) {
      const double weight = a.weights != nullptr ? static_cast<double>(a.weights[r]) : 1.0;
      const double terms = F::kMean ? static_cast<double>(cols) : 1.0;
      const T scale = static_cast<T>(a.scale * weight / terms);
      T* g = a.gradient.row(r);
      // The gradient may overwrite the prediction: each element is read before it is written.
      for_elements(0, cols,
                   [&](int64_t c) ONEPASS_FLAT { g[c] = scale * F::gradient(y[c], p[c], h); });
    }
  }
}

// Smoothed targets of a row: one class index, or a row of a matrix.
template <class F, class T, bool kSparse>
struct RowTarget {
  const T* dense;
  int64_t index, cols;
  typename F::template Hyper<T> h;

  ONEPASS_DEVICE RowTarget(const Loss<T>& a, int64_t r)
      : dense(kSparse ? nullptr : a.target.dense.row(r)),
        index(kSparse ? a.target.index[r] : -1),
        cols(a.prediction.cols),
        h(math::hyper_from<F, T>(a.hyper)) {}

  // 1 in one place, 0 elsewhere
  ONEPASS_DEVICE bool one_hot() const { return kSparse && h.label_smoothing == T(0); }

  // Lanes that the row does not fill mean nothing.
  template <class Extent>
  ONEPASS_DEVICE Chunk<T> chunk(int64_t at, Extent extent) const {
    Chunk<T> t;
    if constexpr (kSparse) {
      const int place = static_cast<int>(index - at);
      t = lanewise<T>([&](int l) { return l == place ? T(1) : T(0); });
    } else {
      t = load(dense + at, extent);
    }
    if (h.label_smoothing == T(0)) return t;
    const T classes = static_cast<T>(cols);
    return lanewise<T>([&](int l) { return F::smooth(t.at[l], classes, h); });
  }

  ONEPASS_DEVICE T total() const {
    if (one_hot()) return T(1);
    Lanes<T> sum;
    for_chunks(cols,
               [&](int64_t at, auto extent) ONEPASS_FLAT { sum.add(chunk(at, extent), extent); });
    return sum.total();
  }
};

template <class F, class T, bool kSparse>
ONEPASS_DEVICE T value_of_logits(const RowTarget<F, T, kSparse>& target, const T* z, T max,
                                 T log_sum) {
  // the one term that is not 0
  if (target.one_hot()) return F::term(T(1), z[target.index] - max - log_sum, target.h);
  Lanes<T> sum;
  for_chunks(target.cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> t = target.chunk(at, extent), x = load(z + at, extent);
    const auto term = [&](int l) { return F::term(t.at[l], x.at[l] - max - log_sum, target.h); };
    sum.add(lanewise<T>(term), extent);
  });
  return sum.total();
}

template <class F, class T, bool kSparse>
ONEPASS_DEVICE T sum_of_pulls(const RowTarget<F, T, kSparse>& target, const T* z, T max,
                              T log_sum) {
  if constexpr (F::kPullIsTarget) return -target.total();
  Lanes<T> sum;
  for_chunks(target.cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> t = target.chunk(at, extent), x = load(z + at, extent);
    const auto pull = [&](int l) { return F::pull(t.at[l], x.at[l] - max - log_sum, target.h); };
    sum.add(lanewise<T>(pull), extent);
  });
  return sum.total();
}

template <class F, bool kSparse, class T>
ONEPASS_DEVICE void crossentropy_of_logits(const Loss<T>& a, int64_t r) {
  const T* z = a.prediction.row(r);
  const int64_t cols = a.prediction.cols;
  const RowTarget<F, T, kSparse> target(a, r);
  T* g = a.gradient ? a.gradient.row(r) : nullptr;
  T* p = a.probabilities ? a.probabilities.row(r) : nullptr;
  // Where whole chunks of exponentials wait; in the place of the logits they cannot.
  T* kept = p != nullptr ? p : g;
  if (kept == z) kept = nullptr;
  const RowExp<T> row = row_exp(z, cols, kept);
  const T log_sum = math::log(row.sum);
  if (a.values != nullptr) {
    const T value = value_of_logits(target, z, row.max, log_sum);
    if (leads()) a.values[r] = value;
  }
  if (p == nullptr && g == nullptr) return;
  const T pulls = g != nullptr ? sum_of_pulls(target, z, row.max, log_sum) : T(0);
  const T scale = row_scale(a, r);
  together();  // the gradient may overwrite the logits
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    Chunk<T> q;
    if constexpr (extent.kPart) {
      q = row.rest;
    } else {
      q = kept != nullptr ? load(kept + at, extent)
                          : exp_of_difference(load(z + at, extent), row.max);
    }
    q = divided(q, row.sum);
    if (p != nullptr) store(p + at, q, extent);
    if (g == nullptr) return;
    const Chunk<T> t = target.chunk(at, extent);
    Chunk<T> x{};
    if constexpr (!F::kPullIsTarget) x = load(z + at, extent);
    const auto slope = [&](int l) {
      const T pull = F::pull(t.at[l], x.at[l] - row.max - log_sum, target.h);
      return scale * (pull - q.at[l] * pulls);
    };
    store(g + at, lanewise<T>(slope), extent);
  });
}

// value = sum_j term(t_j, q_j) with q = p / s, s = sum p; by the chain rule
// d/dp_j = (slope_j - sum_k slope_k q_k) / s.
template <class F, bool kSparse, class T>
ONEPASS_DEVICE void crossentropy_of_probabilities(const Loss<T>& a, int64_t r) {
  const T* p = a.prediction.row(r);
  const int64_t cols = a.prediction.cols;
  const RowTarget<F, T, kSparse> target(a, r);
  Lanes<T> mass;
  for_chunks(cols,
             [&](int64_t at, auto extent) ONEPASS_FLAT { mass.add(load(p + at, extent), extent); });
  const T s = mass.total();
  // Where the target is 0 so are the terms of both sums, but for a share that is NaN; and that is
  // one only where s is 0 or not finite.
  const bool one_term = target.one_hot() && s != T(0) && math::is_finite(s);
  const auto sum_of = [&](auto&& f) ONEPASS_FLAT {
    if (one_term) return f(T(1), p[target.index] / s);
    Lanes<T> sum;
    for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
      const Chunk<T> t = target.chunk(at, extent), q = divided(load(p + at, extent), s);
      sum.add(lanewise<T>([&](int l) { return f(t.at[l], q.at[l]); }), extent);
    });
    return sum.total();
  };
  const auto h = target.h;
  if (a.values != nullptr) {
    const T value = sum_of([&](T t, T q) { return F::term(t, q, h); });
    if (leads()) a.values[r] = value;
  }
  if (!a.gradient) return;
  const T centre = sum_of([&](T t, T q) { return F::slope(t, q, h) * q; });
  const T scale = row_scale(a, r);
  T* g = a.gradient.row(r);
  together();  // the gradient may overwrite the prediction
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> t = target.chunk(at, extent), q = divided(load(p + at, extent), s);
    const auto slope = [&](int l) {
      return scale * ((F::slope(t.at[l], q.at[l], h) - centre) / s);
    };
    store(g + at, lanewise<T>(slope), extent);
  });
}

// Losses of sum_j t_j p_j.
template <class F, bool kSparse, class T>
ONEPASS_DEVICE void loss_of_target_share(const Loss<T>& a, int64_t r) {
  const auto h = math::hyper_from<F, T>(a.hyper);
  const T* p = a.prediction.row(r);
  const T* y = kSparse ? nullptr : a.target.dense.row(r);
  const int64_t index = kSparse ? a.target.index[r] : -1, cols = a.prediction.cols;
  T part;
  if constexpr (kSparse) {
    part = p[index];
  } else {
    Lanes<T> sum;
    for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
      const Chunk<T> t = load(y + at, extent), q = load(p + at, extent);
      sum.add(lanewise<T>([&](int l) { return t.at[l] * q.at[l]; }), extent);
    });
    part = sum.total();
  }
  if (a.values != nullptr && leads()) a.values[r] = F::value(part, h);
  if (!a.gradient) return;
  const T slope = F::slope(part, h), scale = row_scale(a, r);
  T* g = a.gradient.row(r);
  together();  // the gradient may overwrite the prediction
  for_elements(0, cols, [&](int64_t c) ONEPASS_FLAT {
    const T t = kSparse ? (c == index ? T(1) : T(0)) : y[c];
    g[c] = scale * (t * slope);
  });
}

template <class F, bool kSparse, class T>
ONEPASS_LOOP void row_loss(const Loss<T>& a, Team& team) {
  const Range share = team.share(a.prediction.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    if constexpr (F::kOfTarget) {
      loss_of_target_share<F, kSparse>(a, r);
    } else if constexpr (F::kFromLogits) {
      crossentropy_of_logits<F, kSparse>(a, r);
    } else {
      crossentropy_of_probabilities<F, kSparse>(a, r);
    }
  }
}

template <class F, class T>
ONEPASS_DEVICE math::RowSummary<T> summary_of(const T* y, const T* p, int64_t cols) {
  constexpr T kLeast = -static_cast<T>(__builtin_inf());
  Lanes<T> yp, yy, pp, peaks, ys, ps;
  Chunk<T> peak = lanewise<T>([](int) { return kLeast; });
  const auto wrong = [](const Chunk<T>& truth, const Chunk<T>& guess, int l) {
    return (T(1) - truth.at[l]) * guess.at[l];
  };
  for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> truth = load(y + at, extent), guess = load(p + at, extent);
    yp.add(lanewise<T>([&](int l) { return truth.at[l] * guess.at[l]; }), extent);
    if constexpr (F::kPeak) {
      for_lanes<T>([&](int l) ONEPASS_FLAT {
        peak.at[l] = larger(l < extent.n ? wrong(truth, guess, l) : kLeast, peak.at[l]);
      });
    } else if constexpr (F::kTotals) {
      ys.add(truth, extent);
      ps.add(guess, extent);
    } else {
      yy.add(lanewise<T>([&](int l) { return truth.at[l] * truth.at[l]; }), extent);
      pp.add(lanewise<T>([&](int l) { return guess.at[l] * guess.at[l]; }), extent);
    }
  });
  const T largest = join(peak, larger<T>);
  if constexpr (F::kPeak) {
    for_chunks(cols, [&](int64_t at, auto extent) ONEPASS_FLAT {
      const Chunk<T> truth = load(y + at, extent), guess = load(p + at, extent);
      const auto here = [&](int l) { return wrong(truth, guess, l) == largest ? T(1) : T(0); };
      peaks.add(lanewise<T>(here), extent);
    });
  }
  return {yp.total(), yy.total(), pp.total(), largest, peaks.total(), ys.total(), ps.total()};
}

template <class F, class T>
ONEPASS_LOOP void summary_loss(const Loss<T>& a, Team& team) {
  const auto h = math::hyper_from<F, T>(a.hyper);
  const int64_t cols = a.prediction.cols;
  const Range share = team.share(a.prediction.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* y = a.target.dense.row(r);
    const T* p = a.prediction.row(r);
    const math::RowSummary<T> row = summary_of<F>(y, p, cols);
    if (a.values != nullptr && leads()) a.values[r] = F::value(row, h);
    if (!a.gradient) continue;
    const T scale = row_scale(a, r);
    T* g = a.gradient.row(r);
    // The gradient may overwrite the prediction: each element is read before it is written.
    for_elements(0, cols,
                 [&](int64_t c) ONEPASS_FLAT { g[c] = scale * F::gradient(y[c], p[c], row, h); });
  }
}

// One value for all rows, from totals in double that every member adds up for itself.
template <class F, class T>
ONEPASS_LOOP void batch_loss(const Loss<T>& a, Team& team) {
  const auto h = math::hyper_from<F, double>(a.hyper);
  const int64_t cols = a.prediction.cols, rows = a.prediction.rows;
  math::RowSummary<double> all{};
  double scale = 0.0;
  for (int64_t r = 0; r < rows; ++r) {
    const math::RowSummary<T> row = summary_of<F>(a.target.dense.row(r), a.prediction.row(r), cols);
    all.yp += static_cast<double>(row.yp);
    all.y += static_cast<double>(row.y);
    all.p += static_cast<double>(row.p);
    scale += a.scale * (a.weights != nullptr ? static_cast<double>(a.weights[r]) : 1.0);
  }
  team.sync();  // the gradient may overwrite the prediction
  const Range share = team.share(rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    if (a.values != nullptr && leads()) a.values[r] = static_cast<T>(F::value(all, h));
    if (!a.gradient) continue;
    const T *y = a.target.dense.row(r), *p = a.prediction.row(r);
    T* g = a.gradient.row(r);
    for_elements(0, cols, [&](int64_t c) ONEPASS_FLAT {
      const auto truth = static_cast<double>(y[c]), guess = static_cast<double>(p[c]);
      g[c] = static_cast<T>(scale * F::gradient(truth, guess, all, h));
    });
  }
}

template <class T>
ONEPASS_LOOP void loss(const Loss<T>& a, Team& team) {
  if (math::ElementwiseLosses::visit(
          a.id, [&](auto formula) { elementwise_loss<decltype(formula)>(a, team); })) {
    if (!a.probabilities) return;
    // Only sigmoid losses ask for these, from logits that the gradient has not overwritten.
    const Range share = team.share(a.prediction.rows, 1);
    for (int64_t r = share.begin; r < share.end; ++r) {
      const T* z = a.prediction.row(r);
      T* p = a.probabilities.row(r);
      for_elements(0, a.prediction.cols,
                   [&](int64_t c) ONEPASS_FLAT { p[c] = math::sigmoid(z[c]); });
    }
    return;
  }
  const int row_id = a.id - math::ElementwiseLosses::kSize;
  math::RowLosses::visit(row_id, [&](auto formula) {
    using F = decltype(formula);
    a.target.index != nullptr ? row_loss<F, true>(a, team) : row_loss<F, false>(a, team);
  });
  math::SummaryLosses::visit(row_id - math::RowLosses::kSize,
                             [&](auto formula) { summary_loss<decltype(formula)>(a, team); });
  const int batch_id = row_id - math::RowLosses::kSize - math::SummaryLosses::kSize;
  math::BatchLosses::visit(batch_id, [&](auto formula) { batch_loss<decltype(formula)>(a, team); });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
