// What metrics count, losses of a batch, and activations over rows, against plain loops in double;
// called by check_kernels.cpp.
#include <algorithm>

#include "../../csrc/math/losses.h"
#include "check.h"

namespace check {
namespace {

using namespace onepass;

struct Shape {
  int64_t rows, cols;
};
constexpr Shape kShapes[] = {{0, 4}, {1, 1}, {3, 5}, {5, 16}, {4, 33}, {37, 10}};

std::string describe(const char* kernel, Shape s, Layout layout) {
  return std::string(kernel) + " (" + std::to_string(s.rows) + ", " + std::to_string(s.cols) +
         ") layout " + std::to_string(static_cast<int>(layout));
}

template <class T>
void confusion(const KernelTable<T>& table, Shape s, Layout layout, bool by_column) {
  Grid<T> truth(s.rows, s.cols, layout), p(s.rows, s.cols, layout), weights(1, s.rows);
  truth.fill([&](int64_t r, int64_t c) { return truth(r, c) > 0.0 ? 1.0 : 0.0; });
  p.fill([&](int64_t r, int64_t c) { return std::floor(4.0 * p(r, c)) / 4.0; });
  const T steps[] = {T(-0.5), T(0.0), T(0.25)};
  constexpr int64_t kBuckets = 4;
  Grid<double> counts(by_column ? s.cols : 1, 2 * kBuckets);
  const ConfusionCounts<T> a{truth.read(), p.read(),  weights.data(), steps, 3, 0, 0,
                             {0, s.cols},  by_column, counts.data()};
  expect(
      describe("confusion_counts", s, layout), [&](Team& team) { table.confusion_counts(a, team); },
      Output(counts, 8.0 + s.rows * s.cols, [&](int64_t block, int64_t place) {
        double sum = counts(block, place);
        for (int64_t r = 0; r < s.rows; ++r) {
          for (int64_t c = 0; c < s.cols; ++c) {
            int64_t bucket = truth(r, c) != 0.0 ? 0 : kBuckets;
            for (const T step : steps) bucket += p(r, c) > step;
            if (bucket == place && (!by_column || c == block)) sum += weights(0, r);
          }
        }
        return sum;
      }));
}

template <class T>
void column_errors(const KernelTable<T>& table, Shape s, Layout layout) {
  Grid<T> truth(s.rows, s.cols, layout), p(s.rows, s.cols, layout), weights(1, s.rows);
  Grid<double> sums(5, s.cols);
  const ColumnSums<T> a{ColumnSumKind::kErrors, false,      0.0, truth.read(), p.read(),
                        weights.data(),         sums.data()};
  expect(
      describe("column_sums", s, layout), [&](Team& team) { table.column_sums(a, team); },
      Output(sums, 8.0 + s.rows, [&](int64_t which, int64_t c) {
        return sums(which, c) + dot(s.rows, [&](int64_t r) {
                 const double w = weights(0, r), y = truth(r, c), e = y - p(r, c);
                 const double terms[] = {w * e * e, w * y, w * y * y, w, 1.0};
                 return terms[which];
               });
      }));
}

template <class T>
void batch_loss(const KernelTable<T>& table, Shape s, Layout layout) {
  using F = math::TverskyOfBatch;
  Grid<T> truth(s.rows, s.cols, layout), p(s.rows, s.cols, layout), values(1, s.rows);
  for (Grid<T>* grid : {&truth, &p}) {
    grid->fill([&](int64_t r, int64_t c) { return std::abs((*grid)(r, c)); });
  }
  Loss<T> loss{};
  loss.id = math::ElementwiseLosses::kSize + math::RowLosses::kSize + math::SummaryLosses::kSize;
  const F::Hyper<double> h{0.3, 0.6, 1e-7};
  loss.hyper[0] = h.missed, loss.hyper[1] = h.false_alarms, loss.hyper[2] = h.epsilon;
  loss.target.dense = truth.read(), loss.prediction = p.read();
  loss.values = values.data(), loss.gradient = p.view(), loss.scale = 0.5;
  math::RowSummary<double> all{};
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t c = 0; c < s.cols; ++c) {
      all.yp += truth(r, c) * p(r, c), all.y += truth(r, c), all.p += p(r, c);
    }
  }
  expect(
      describe("loss of a batch", s, layout), [&](Team& team) { table.loss(loss, team); },
      Output(values, 16.0 + s.cols, [&](int64_t, int64_t) { return F::value(all, h); }),
      Output(p, 16.0 + s.cols, [&](int64_t r, int64_t c) {
        return 0.5 * s.rows * F::gradient(truth(r, c), p(r, c), all, h);
      }));
}

// The threshold of sparsemax by halving.
template <class T>
double threshold_of(const Grid<T>& x, int64_t r) {
  double low = -1e3, high = 1e3;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2.0;
    const double sum = dot(x.cols(), [&](int64_t c) { return std::max(x(r, c) - middle, 0.0); });
    (sum > 1.0 ? low : high) = middle;
  }
  return low;
}

template <class T>
void rowwise(const KernelTable<T>& table, Shape s, Layout layout) {
  Grid<T> x(s.rows, s.cols, layout, 4.0), y(s.rows, s.cols, layout);
  Grid<T> dy(s.rows, s.cols), dx(s.rows, s.cols, layout);
  const Softmax<T> forward{x.read(), y.view()};
  const SoftmaxBackward<T> backward{y.read(), dy.read(), dx.view(), true};
  expect(
      describe("log_softmax", s, layout), [&](Team& team) { table.log_softmax(forward, team); },
      Output(y, 16.0 + s.cols, [&](int64_t r, int64_t c) {
        return x(r, c) - std::log(dot(s.cols, [&](int64_t k) { return std::exp(x(r, k)); }));
      }));
  expect(
      describe("log_softmax_backward", s, layout),
      [&](Team& team) { table.log_softmax_backward(backward, team); },
      Output(dx, 16.0 + s.cols, [&](int64_t r, int64_t c) {
        const double total = dot(s.cols, [&](int64_t k) { return dy(r, k); });
        return dx(r, c) + dy(r, c) - std::exp(y(r, c)) * total;
      }));
  expect(
      describe("sparsemax", s, layout), [&](Team& team) { table.sparsemax(forward, team); },
      Output(y, 16.0 + s.cols,
             [&](int64_t r, int64_t c) { return std::max(x(r, c) - threshold_of(x, r), 0.0); }));
  expect(
      describe("sparsemax_backward", s, layout),
      [&](Team& team) { table.sparsemax_backward(backward, team); },
      Output(dx, 16.0 + s.cols, [&](int64_t r, int64_t c) {
        const double size = dot(s.cols, [&](int64_t k) { return y(r, k) > 0.0; });
        const double sum = dot(s.cols, [&](int64_t k) { return y(r, k) > 0.0 ? dy(r, k) : 0.0; });
        return dx(r, c) + (y(r, c) > 0.0 ? dy(r, c) - sum / size : 0.0);
      }));
}

template <class T>
void gated(const KernelTable<T>& table, Shape s, Layout layout) {
  Grid<T> x(s.rows, 2 * s.cols, layout, 4.0), y(s.rows, s.cols, layout);
  Grid<T> dy(s.rows, s.cols), dx(s.rows, 2 * s.cols, layout);
  const auto gate = [&](int64_t r, int64_t c) { return 1.0 / (1.0 + std::exp(-x(r, s.cols + c))); };
  expect(
      describe("glu", s, layout), [&](Team& team) { table.glu({x.read(), y.view()}, team); },
      Output(y, 16, [&](int64_t r, int64_t c) { return x(r, c) * gate(r, c); }));
  expect(
      describe("glu_backward", s, layout),
      [&](Team& team) { table.glu_backward({x.read(), dy.read(), dx.view(), true}, team); },
      Output(dx, 16, [&](int64_t r, int64_t c) {
        const int64_t k = c % s.cols;
        const double slope = gate(r, k) * (1.0 - gate(r, k));
        return dx(r, c) + dy(r, k) * (c < s.cols ? gate(r, k) : x(r, k) * slope);
      }));
}

}  // namespace

template <class T>
void metrics_and_rows(const KernelTable<T>& table) {
  for (const Shape& s : kShapes) {
    for (const Layout layout : kLayouts) {
      confusion(table, s, layout, false);
      confusion(table, s, layout, true);
      column_errors(table, s, layout);
      batch_loss(table, s, layout);
      rowwise(table, s, layout);
      gated(table, s, layout);
    }
  }
}
template void metrics_and_rows(const KernelTable<float>&);
template void metrics_and_rows(const KernelTable<double>&);

}  // namespace check
