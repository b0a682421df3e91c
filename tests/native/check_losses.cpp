// Losses, accuracies and their sums against plain loops in double; called by check_kernels.cpp.
#include <algorithm>
#include <string_view>

#include "../../csrc/math/losses.h"
#include "check.h"

namespace check {
namespace {

using namespace onepass;

struct Shape {
  int64_t rows, cols;
};
constexpr Shape kShapes[] = {{0, 4}, {1, 1}, {3, 5}, {5, 16}, {4, 33}, {2, 100}, {37, 10}};

// The arguments of one call. The layouts take turns in what is left out or shared.
template <class T>
struct Case {
  std::string what;
  int64_t rows, cols;
  Layout layout;
  Grid<T> truth, prediction, weights, values, gradient, probabilities;
  std::vector<int32_t> index;
  bool in_place, weighted;
  Loss<T> loss;

  template <class F>
  Case(F, int id, Shape s, Layout layout, double smoothing)
      : what(std::string("loss ") + F::kName + " (" + std::to_string(s.rows) + ", " +
             std::to_string(s.cols) + ") layout " + std::to_string(static_cast<int>(layout))),
        rows(s.rows),
        cols(s.cols),
        layout(layout),
        truth(s.rows, s.cols, layout),
        prediction(s.rows, s.cols, layout, 4.0),
        weights(1, s.rows),
        values(1, s.rows),
        gradient(s.rows, s.cols, layout),
        probabilities(s.rows, s.cols, layout),
        in_place(layout == Layout::kPadded),
        weighted(layout != Layout::kReversed),
        loss{} {
    const std::string_view kind = F::kPrediction;
    truth.fill([&](int64_t r, int64_t c) { return std::abs(truth(r, c)); });
    if (kind == "margin") {
      truth.fill([&](int64_t r, int64_t c) { return truth(r, c) < 0.5 ? -1.0 : 1.0; });
    }
    if (kind == "positive") {
      prediction.fill([&](int64_t r, int64_t c) { return std::abs(prediction(r, c)); });
    }
    if (kind == "probability") {
      prediction.fill([&](int64_t r, int64_t c) { return 0.5 + 0.12 * prediction(r, c); });
    } else if (s.rows > 1) {
      prediction.at(0, 1) = -std::numeric_limits<T>::infinity();
    }
    if (s.rows > 2) prediction.at(s.rows - 1, 0) = std::numeric_limits<T>::quiet_NaN();
    for (int64_t r = 0; r < s.rows; ++r) index.push_back(static_cast<int32_t>(r % s.cols));

    loss.id = id;
    std::fill(loss.hyper, loss.hyper + kMaxScalars, smoothing);
    loss.target.dense = truth.read();
    loss.prediction = prediction.read();
    loss.weights = weighted ? weights.data() : nullptr;
    loss.values = values.data();
    loss.gradient = in_place ? prediction.view() : gradient.view();
    const bool logits = kind == "softmax" || kind == "sigmoid";
    if (logits && !in_place) loss.probabilities = probabilities.view();
    loss.scale = 0.75;
  }

  void sparse() {
    loss.target = {};
    loss.target.index = index.data();
    what += " sparse";
  }
  double scale(int64_t r) const { return 0.75 * (weighted ? weights(0, r) : 1.0); }

  template <class V, class G, class P>
  void run(const KernelTable<T>& table, V&& value, G&& slope, P&& probability) {
    const double ulps = 16.0 + static_cast<double>(cols);
    expect(
        what, [&](Team& team) { table.loss(loss, team); },
        Output(values, ulps, [&](int64_t, int64_t r) { return value(r); }),
        Output(in_place ? prediction : gradient, ulps,
               [&](int64_t r, int64_t c) { return scale(r) * slope(r, c); }),
        Output(probabilities, ulps, [&](int64_t r, int64_t c) {
          return loss.probabilities ? probability(r, c) : probabilities(r, c);
        }));
  }
};

template <class T, class F>
void elementwise_loss(const KernelTable<T>& table, F formula, int id, Shape s, Layout layout,
                      double smoothing) {
  Case<T> a(formula, id, s, layout, smoothing);
  const auto h = math::hyper_from<F, double>(a.loss.hyper);
  const double terms = F::kMean ? static_cast<double>(s.cols) : 1.0;
  const auto value = [&](int64_t r) {
    double sum = 0.0;
    for (int64_t c = 0; c < s.cols; ++c) sum += F::value(a.truth(r, c), a.prediction(r, c), h);
    return sum / terms;
  };
  const auto slope = [&](int64_t r, int64_t c) {
    return F::gradient(a.truth(r, c), a.prediction(r, c), h) / terms;
  };
  a.run(table, value, slope,
        [&](int64_t r, int64_t c) { return 1.0 / (1.0 + std::exp(-a.prediction(r, c))); });
}

template <class T, class F, class L>
void row_crossentropy(const KernelTable<T>& table, F, Case<T>& a, Shape s, L&& label) {
  const auto h = math::hyper_from<F, double>(a.loss.hyper);
  const auto target = [&](int64_t r, int64_t c) {
    return F::smooth(label(r, c), static_cast<double>(s.cols), h);
  };
  const auto sum = [&](auto&& term) {
    double total = 0.0;
    for (int64_t c = 0; c < s.cols; ++c) total += term(c);
    return total;
  };
  // The row's sum: of the exponentials, or of the probabilities themselves.
  const auto mass = [&](int64_t r) {
    return sum([&](int64_t c) {
      return F::kFromLogits ? std::exp(a.prediction(r, c)) : a.prediction(r, c);
    });
  };
  const auto share = [&](int64_t r, int64_t c) {
    return (F::kFromLogits ? std::exp(a.prediction(r, c)) : a.prediction(r, c)) / mass(r);
  };
  const auto log_share = [&](int64_t r, int64_t c) {
    const double log_p = a.prediction(r, c) - std::log(mass(r));
    return log_p > 0.0 ? 0.0 : log_p;  // by rounding
  };
  const auto value = [&](int64_t r) {
    return sum([&](int64_t c) {
      if constexpr (F::kFromLogits) {
        return F::term(target(r, c), log_share(r, c), h);
      } else {
        return F::term(target(r, c), share(r, c), h);
      }
    });
  };
  const auto slope = [&](int64_t r, int64_t c) {
    if constexpr (F::kFromLogits) {
      const auto pull = [&](int64_t k) { return F::pull(target(r, k), log_share(r, k), h); };
      return pull(c) - share(r, c) * sum(pull);
    } else {
      const double mean =
          sum([&](int64_t k) { return F::slope(target(r, k), share(r, k), h) * share(r, k); });
      return (F::slope(target(r, c), share(r, c), h) - mean) / mass(r);
    }
  };
  a.run(table, value, slope, share);
}

template <class T, class F>
void row_loss(const KernelTable<T>& table, F formula, int id, Shape s, Layout layout,
              double smoothing, bool sparse) {
  Case<T> a(formula, id, s, layout, F::kOfTarget ? 0.5 + smoothing : smoothing);
  if (sparse) a.sparse();
  const auto h = math::hyper_from<F, double>(a.loss.hyper);
  const auto label = [&](int64_t r, int64_t c) {
    return sparse ? static_cast<double>(a.index[r] == c) : a.truth(r, c);
  };
  if constexpr (F::kOfTarget) {
    const auto part = [&](int64_t r) {
      double total = 0.0;
      for (int64_t c = 0; c < s.cols; ++c) {
        if (!sparse || a.index[r] == c) total += label(r, c) * a.prediction(r, c);
      }
      return total;
    };
    a.run(
        table, [&](int64_t r) { return F::value(part(r), h); },
        [&](int64_t r, int64_t c) { return label(r, c) * F::slope(part(r), h); },
        [](int64_t, int64_t) { return 0.0; });
  } else {
    row_crossentropy(table, formula, a, s, label);
  }
}

template <class T, class F>
void summary_loss(const KernelTable<T>& table, F formula, int id, Shape s, Layout layout) {
  Case<T> a(formula, id, s, layout, F::kTotals ? 0.3 : 0.0);
  // One-hot: rounding must not decide which element is the largest.
  if (F::kPeak) {
    a.truth.fill([&](int64_t r, int64_t c) { return c == a.index[r] ? 1.0 : 0.0; });
  }
  const auto h = math::hyper_from<F, double>(a.loss.hyper);
  const auto summary = [&](int64_t r) {
    math::RowSummary<double> row{0.0, 0.0, 0.0, -std::numeric_limits<double>::infinity(),
                                 0.0, 0.0, 0.0};
    for (int64_t c = 0; c < s.cols; ++c) {
      const double y = a.truth(r, c), p = a.prediction(r, c);
      row.yp += y * p;
      row.yy += y * y;
      row.pp += p * p;
      row.y += y;
      row.p += p;
      const double wrong = (1.0 - y) * p;
      row.peaks = wrong > row.peak ? 1.0 : row.peaks + (wrong == row.peak);
      row.peak = std::max(row.peak, wrong == wrong ? wrong : row.peak);
    }
    return row;
  };
  const auto slope = [&](int64_t r, int64_t c) {
    return F::gradient(a.truth(r, c), a.prediction(r, c), summary(r), h);
  };
  a.run(
      table, [&](int64_t r) { return F::value(summary(r), h); }, slope,
      [](int64_t, int64_t) { return 0.0; });
}

template <class T>
void losses(const KernelTable<T>& table) {
  for (const Shape& s : kShapes) {
    for (const Layout layout : kLayouts) {
      for (const double smoothing : {0.0, 0.1}) {
        int id = 0;
        math::ElementwiseLosses::each(
            [&](auto formula) { elementwise_loss(table, formula, id++, s, layout, smoothing); });
        math::RowLosses::each([&](auto formula) {
          row_loss(table, formula, id, s, layout, smoothing, false);
          row_loss(table, formula, id, s, layout, smoothing, true);
          ++id;
        });
        math::SummaryLosses::each(
            [&](auto formula) { summary_loss(table, formula, id++, s, layout); });
      }
    }
  }
}

template <class T>
int64_t argmax(const Grid<T>& x, int64_t r) {
  for (int64_t c = 0; c < x.cols(); ++c) {
    if (x(r, c) != x(r, c)) return c;
  }
  int64_t best = 0;
  for (int64_t c = 1; c < x.cols(); ++c) {
    if (x(r, c) > x(r, best)) best = c;
  }
  return best;
}

template <class T>
void accuracies(const KernelTable<T>& table) {
  for (const Shape& s : kShapes) {
    for (const Layout layout : kLayouts) {
      Grid<T> truth(s.rows, s.cols, layout), p(s.rows, s.cols, layout), values(1, s.rows);
      if (s.rows > 2) p.at(1, s.cols - 1) = std::numeric_limits<T>::quiet_NaN();
      std::vector<int32_t> index;
      for (int64_t r = 0; r < s.rows; ++r) index.push_back(static_cast<int32_t>(argmax(p, r)));
      for (size_t r = 0; r < index.size(); r += 2) index[r] = (index[r] + 1) % s.cols;
      const auto check = [&](const char* what, Accuracy kind, Target<T> target, auto&& want) {
        const RowAccuracy<T> a{kind, 0.25, target, p.read(), values.data(), 2};
        expect(
            std::string("row_accuracy ") + what, [&](Team& team) { table.row_accuracy(a, team); },
            Output(values, 1, [&](int64_t, int64_t r) { return want(r); }));
      };
      check("sparse", Accuracy::kSparseCategorical, {{}, index.data()},
            [&](int64_t r) { return argmax(p, r) == index[r] ? 1.0 : 0.0; });
      check("categorical", Accuracy::kCategorical, {truth.read()},
            [&](int64_t r) { return argmax(p, r) == argmax(truth, r) ? 1.0 : 0.0; });
      check("sparse top", Accuracy::kSparseTopKCategorical, {{}, index.data()}, [&](int64_t r) {
        const double own = p(r, index[r]);
        double above = 0.0;
        for (int64_t c = 0; c < s.cols; ++c)
          above += p(r, c) > own || (own != own && p(r, c) == p(r, c));
        return above < 2.0 ? 1.0 : 0.0;
      });
      truth.fill([&](int64_t r, int64_t c) { return truth(r, c) > 0.0 ? 1.0 : 0.0; });
      check("binary", Accuracy::kBinary, {truth.read()}, [&](int64_t r) {
        double right = 0.0;
        for (int64_t c = 0; c < s.cols; ++c) right += (p(r, c) > 0.25) == (truth(r, c) == 1.0);
        return right / s.cols;
      });
    }
  }
}

template <class T>
void weighted_sums(const KernelTable<T>& table) {
  for (const int64_t size : {0, 1, 33, 1000}) {
    for (const bool weighted : {false, true}) {
      Grid<T> values(1, size), weights(1, size);
      // What weighs nothing must not count, whatever it is.
      if (weighted && size > 1) {
        values.at(0, 1) = std::numeric_limits<T>::quiet_NaN();
        weights.at(0, 1) = T(0);
      }
      Grid<double> sums(1, 2);
      const WeightedSum<T> a{values.data(), weighted ? weights.data() : nullptr, size, sums.data()};
      expect(
          "weighted_sum of " + std::to_string(size),
          [&](Team& team) { table.weighted_sum(a, team); },
          Output(sums, 4.0 + size, [&](int64_t, int64_t which) {
            double sum = sums(0, which);
            for (int64_t i = 0; i < size; ++i) {
              const double w = weighted ? weights(0, i) : 1.0;
              if (w != 0.0) sum += which == 0 ? w * values(0, i) : w;
            }
            return sum;
          }));
    }
  }
}

}  // namespace

template <class T>
void losses_and_metrics(const KernelTable<T>& table) {
  losses(table);
  accuracies(table);
  weighted_sums(table);
}
template void losses_and_metrics(const KernelTable<float>&);
template void losses_and_metrics(const KernelTable<double>&);

}  // namespace check
