// Update rules, scaling, sums over whole arrays and dropout; called by check_kernels.cpp.
#include <algorithm>
#include <type_traits>

#define ONEPASS_ISA by_rows  // the sweep as another kernel would use it, built for this file
#include "../../csrc/cpu/sweep.h"
#undef ONEPASS_ISA
#include "../../csrc/math/philox.h"
#include "../../csrc/math/rules.h"
#include "check.h"

namespace check {
namespace {

using namespace onepass;

template <class R>
void apply(const typename R::template Hyper<double>& h, double g, double& p, double* s) {
  if constexpr (R::kStates == 0) R::apply(h, g, p);
  if constexpr (R::kStates == 1) R::apply(h, g, p, s[0]);
  if constexpr (R::kStates == 2) R::apply(h, g, p, s[0], s[1]);
  if constexpr (R::kStates == 3) R::apply(h, g, p, s[0], s[1], s[2]);
  if constexpr (R::kStates == 4) R::apply(h, g, p, s[0], s[1], s[2], s[3]);
}

// A run of parameters and what becomes of it in double; `stride - cols` of each row are padding.
template <class T>
struct Run {
  int64_t size, cols, stride;
  std::vector<Grid<T>> grids;  // p, states ..., g
  std::vector<std::vector<double>> exact;

  Run(int64_t size, int64_t cols, int64_t stride, int states)
      : size(size), cols(cols), stride(stride), exact(states + 1) {
    for (int k = 0; k < states + 2; ++k) {
      const bool filled = k == 0 || k == states + 1;
      grids.emplace_back(1, size);
      grids[k].fill([&](int64_t, int64_t i) { return filled && real(i) ? grids[k](0, i) : 0.0; });
      if (k > states) continue;
      for (int64_t i = 0; i < size; ++i) exact[k].push_back(grids[k](0, i));
    }
  }
  bool real(int64_t i) const { return i % stride < cols; }

  template <class R>
  void step(const typename R::template Hyper<double>& h, const Around& a) {
    for (int64_t i = 0; i < size; ++i) {
      if (!real(i)) continue;
      double g = grids.back()(0, i) * a.scale, s[kMaxStates] = {};
      if (a.clip > 0.0) g = g < -a.clip ? -a.clip : g > a.clip ? a.clip : g;
      if (a.l2 != 0.0) g += a.l2 * exact[0][i];
      exact[0][i] *= a.keep;
      for (int k = 0; k < R::kStates; ++k) s[k] = exact[k + 1][i];
      apply<R>(h, g, exact[0][i], s);
      for (int k = 0; k < R::kStates; ++k) exact[k + 1][i] = s[k];
    }
  }
};

template <class T>
Segment<T> segment_of(Run<T>& run, int states) {
  Segment<T> s{run.grids[0].data(), run.grids.back().data(), {}, run.size, run.cols, run.stride};
  for (int k = 0; k < states; ++k) s.state[k] = run.grids[k + 1].data();
  return s;
}

template <class T>
void rule_steps(const KernelTable<T>& table, double option, const Around* around, bool shared) {
  int id = 0;
  math::Rules::each([&](auto rule) {
    using R = decltype(rule);
    for (const math::Convention convention : {math::Convention::kKeras, math::Convention::kTorch}) {
      std::vector<Run<T>> runs;
      runs.emplace_back(0, 1, 1, R::kStates);
      runs.emplace_back(37, 37, 37, R::kStates);
      runs.emplace_back(24, 5, 8, R::kStates);
      runs.emplace_back(3200, 75, 80, R::kStates);
      double options[kMaxScalars];
      std::fill(options, options + kMaxScalars, option);
      for (int t = 1; t <= 3; ++t) {
        Update<T> update{id, nullptr, static_cast<int64_t>(runs.size()), {}, around, shared};
        R::prepare(options, convention, {0.1 / t, t}, update.scalars);
        const auto h = math::hyper_from<R, double>(update.scalars);
        std::vector<Segment<T>> segments;
        std::vector<Output<T>> outputs;
        for (size_t n = 0; n < runs.size(); ++n) {
          Run<T>& run = runs[n];
          run.template step<R>(h, around[shared ? 0 : n]);
          for (int k = 0; k <= R::kStates; ++k) {
            outputs.emplace_back(run.grids[k], 16.0 * t,
                                 [&](int64_t, int64_t i) { return run.exact[k][i]; });
          }
          segments.push_back(segment_of(run, R::kStates));
        }
        update.segments = segments.data();
        expect(
            std::string("update ") + R::kName + " step " + std::to_string(t),
            [&](Team& team) { table.update(update, team); }, std::move(outputs));
      }
    }
    ++id;
  });
}

template <class T>
void rules(const KernelTable<T>& table) {
  const Around plain, all{0.5, 0.3, 0.1, 0.99}, infinite{HUGE_VAL, 0.0, 0.0, 1.0};
  const Around each[] = {plain, all, plain, Around{2.0, 0.0, 0.1, 1.0}};
  rule_steps(table, 0.7, &plain, true);
  rule_steps(table, 0.7, &all, true);
  rule_steps(table, 0.7, each, false);
  // 0/0 and 0 * inf in the padding: it must come out zero all the same.
  rule_steps(table, 0.0, &plain, true);
  rule_steps(table, 0.7, &infinite, true);
}

// An update row by row, each with its gradient copied to the stack, against the kernel's.
template <class R, class T>
void updated_by_rows(const KernelTable<T>& table, int id, const Around& around, int row) {
  constexpr int64_t size = 1000;
  double options[kMaxScalars];
  std::fill(options, options + kMaxScalars, 0.7);
  std::vector<T> whole[kMaxStates + 2], rows[kMaxStates + 2];  // p, states ..., g
  for (int k = 0; k < kMaxStates + 2; ++k) {
    const double scale = k == 0 || k == kMaxStates + 1 ? 1.0 : 0.0;
    for (int64_t i = 0; i < size; ++i) {
      whole[k].push_back(static_cast<T>(scale * tally.random.next()));
    }
    rows[k] = whole[k];
  }
  Segment<T> s{whole[0].data(), whole[kMaxStates + 1].data(), {}, size, size, size};
  for (int k = 0; k < kMaxStates; ++k) s.state[k] = whole[k + 1].data();
  for (int t = 1; t <= 2; ++t) {
    Update<T> update{id, &s, 1, {}, &around, true};
    R::prepare(options, math::Convention::kKeras, {0.1, t}, update.scalars);
    Team alone{0, 1, nullptr, nullptr};
    table.update(update, alone);
    const auto h = math::hyper_from<R, T>(update.scalars);
    const auto a = by_rows::AroundOf<T>::of(around);
    for (int64_t i = 0; i < size; i += row) {
      T g[48];
      const int64_t n = std::min<int64_t>(row, size - i);
      std::copy_n(&rows[kMaxStates + 1][i], n, g);
      by_rows::sweep_run<R, T>(h, a, &rows[0][i], g, &rows[1][i], &rows[2][i], &rows[3][i],
                               &rows[4][i], n);
    }
  }
  ++tally.runs;
  for (int k = 0; k <= R::kStates; ++k) {
    for (int64_t i = 0; i < size; ++i) {
      if (std::bit_cast<Bits<T>>(whole[k][i]) == std::bit_cast<Bits<T>>(rows[k][i])) continue;
      return fail(std::string("update by rows ") + R::kName + " of " + std::to_string(row));
    }
  }
}

template <class T>
void rows_equal_sweeps(const KernelTable<T>& table) {
  const Around plain, decay{1.0, 0.0, 0.0, 0.99}, all{0.5, 0.3, 0.1, 0.99};
  int id = 0;
  math::Rules::each([&](auto rule) {
    for (const Around& around : {plain, decay, all}) {
      for (int row = 1; row <= 48; ++row) updated_by_rows<decltype(rule)>(table, id, around, row);
    }
    ++id;
  });
}

// A dense layer: rows of the batch, shape of the weights, distance between their rows.
struct Layer {
  int64_t m, i, o, stride;
};
constexpr Layer kLayers[] = {{0, 5, 7, 8},     {1, 1, 1, 1},     {5, 7, 19, 32},
                             {23, 70, 17, 17}, {9, 4, 130, 144}, {70, 40, 80, 80}};
// Stripes of rows, of columns; several blocks of a depth whose rows are packed; packed columns.
constexpr Layer kLargeLayers[] = {
    {7, 700, 70, 80}, {3, 60, 2100, 2112}, {1030, 50, 256, 256}, {70, 520, 400, 400}};

// Gradient and update at once, against the two kernels one after the other: the same bits, also in
// the padding, and nothing else written. `around` is that of the weights and of the bias.
template <class R, class T>
void updated_at_once(const KernelTable<T>& table, int id, const Layer& l, double option,
                     const Around* around, bool with_b) {
  Grid<T> x(l.m, l.i, Layout::kPadded), dz(l.m, l.o);
  std::vector<Run<T>> runs;
  runs.emplace_back(l.i * l.stride, l.o, l.stride, R::kStates);
  runs.emplace_back(l.o, l.o, l.o, R::kStates);
  std::vector<Run<T>> apart = runs;
  Scratch<T> dw(l.i * l.stride), db(l.o);
  const auto gradient = [&](T* w, T* b) {
    return DenseBackwardWeights<T>{
        x.read(), dz.read(), {w, l.i, l.o, l.stride}, with_b ? b : nullptr, false};
  };
  double options[kMaxScalars];
  std::fill(options, options + kMaxScalars, option);
  for (int t = 1; t <= 2; ++t) {
    Segment<T> segments[2];
    Update<T> update{id, segments, with_b ? 2 : 1, {}, around, false};
    R::prepare(options, math::Convention::kKeras, {0.1 / t, t}, update.scalars);
    for (int n = 0; n < 2; ++n) segments[n] = segment_of(apart[n], R::kStates);
    run_team(1, [&](Team& team) {
      table.dense_backward_weights(
          gradient(apart[0].grids.back().data(), apart[1].grids.back().data()), team);
      table.update(update, team);
    });
    std::vector<Output<T>> outputs;
    for (int n = 0; n < 2; ++n) {
      segments[n] = segment_of(runs[n], R::kStates);
      for (size_t k = 0; k < runs[n].grids.size(); ++k) {
        // The gradients that belong to the segments are neither read nor written.
        Grid<T>& want = k + 1 < runs[n].grids.size() ? apart[n].grids[k] : runs[n].grids[k];
        outputs.emplace_back(
            runs[n].grids[k], 0.0, [&](int64_t, int64_t i) { return want(0, i); },
            Across::kMayDiffer);
      }
    }
    const DenseUpdate<T> at_once{gradient(dw.data(), db.data()), update};
    expect(
        std::string("dense_update ") + R::kName + " (" + std::to_string(l.m) + ", " +
            std::to_string(l.i) + ", " + std::to_string(l.o) + ") step " + std::to_string(t),
        [&](Team& team) { table.dense_update(at_once, team); }, std::move(outputs), std::ref(dw),
        std::ref(db));
  }
}

template <class T>
void dense_updates(const KernelTable<T>& table) {
  const Around plain, decay{1.0, 0.0, 0.0, 0.99}, all{0.5, 0.3, 0.1, 0.99};
  const Around infinite{HUGE_VAL, 0.0, 0.0, 1.0};
  const Around pairs[][2] = {{plain, plain}, {decay, plain}, {all, decay}, {infinite, infinite}};
  bool with_b = false;
  int id = 0;
  math::Rules::each([&](auto rule) {
    using R = decltype(rule);
    if constexpr (!math::kMeasured<R>) {
      for (const Layer& l : kLayers) {
        for (const auto& pair : pairs) {
          updated_at_once<R>(table, id, l, 0.7, pair, with_b = !with_b);
        }
        // 0/0 in the padding.
        updated_at_once<R>(table, id, l, 0.0, pairs[0], with_b = !with_b);
      }
    }
    if constexpr (std::is_same_v<R, math::Adam>) {
      for (const Layer& l : kLargeLayers) updated_at_once<R>(table, id, l, 0.7, pairs[2], true);
    }
    ++id;
  });
}

template <class T>
void reductions(const KernelTable<T>& table) {
  for (const int64_t size : {0, 1, 63, 64, 65, 8192, 8193, 30000}) {
    for (const double scale : {1.0, 1e25, 1e-25}) {
      Grid<T> x(1, size, Layout::kDense, scale);
      if (size == 65) x.at(0, 64) = std::numeric_limits<T>::quiet_NaN();
      Grid<double> partial(1, (size + kNormBlock - 1) / kNormBlock);
      const SumOfSquares<T> squares{x.data(), size, partial.data()};
      expect(
          "sum_of_squares of " + std::to_string(size) + " at " + std::to_string(scale),
          [&](Team& team) { table.sum_of_squares(squares, team); },
          Output<double, T>(
              partial, 64,
              [&](int64_t, int64_t b) {
                const int64_t left = std::min(size - b * kNormBlock, kNormBlock);
                return dot(left, [&](int64_t k) {
                  return x(0, b * kNormBlock + k) * x(0, b * kNormBlock + k);
                });
              },
              Across::kEqual, 0.0));
    }
    Grid<T> x(1, size, Layout::kDense, 2.0);
    if (size > 0) x.at(0, 0) = std::numeric_limits<T>::quiet_NaN();
    const ScaleClip<T> clip{x.data(), size, 0.5, -0.25, 0.75};
    expect(
        "scale_clip of " + std::to_string(size), [&](Team& team) { table.scale_clip(clip, team); },
        Output(x, 1, [&](int64_t, int64_t i) {
          const double value = x(0, i) * 0.5;
          return value < -0.25 ? -0.25 : value > 0.75 ? 0.75 : value;
        }));
  }
}

// Whether dropout at this rate keeps a unit, by the generator as scalars.
bool keeps(const NoiseKey& key, double rate, int64_t place, int64_t unit) {
  const auto run = static_cast<uint64_t>(16 * (unit / 64) + unit % 16);
  const math::PhiloxWords<uint64_t> counter{{run, static_cast<uint64_t>(place), key.draw, 0}};
  const auto four = math::philox(counter, key.words[0], key.words[1], math::Multiply{});
  return static_cast<uint32_t>(four.at[unit % 64 / 16]) >= rate * 4294967296.0;
}

template <class T>
void dropouts(const KernelTable<T>& table) {
  const int64_t shapes[][3] = {{0, 5, 1}, {1, 1, 1}, {3, 64, 1}, {5, 130, 1}, {6, 17, 3}};
  for (const auto& [rows, cols, rows_per_sample] : shapes) {
    for (const Layout layout : kLayouts) {
      for (const bool accumulate : {false, true}) {
        Grid<T> x(rows, cols, layout), y(rows, cols, layout);
        const Dropout<T> a{x.read(), y.view(),        0.25,
                           false,    false,           {{0x12345678u, 0x9abcdef0u}, 3},
                           7,        rows_per_sample, accumulate};
        expect(
            "dropout (" + std::to_string(rows) + ", " + std::to_string(cols) + ")",
            [&](Team& team) { table.dropout(a, team); }, Output(y, 1, [&](int64_t r, int64_t c) {
              const int64_t unit = r % rows_per_sample * cols + c;
              const bool kept = keeps(a.key, a.rate, a.first + r / rows_per_sample, unit);
              return (accumulate ? y(r, c) : 0.0) + (kept ? x(r, c) / 0.75 : 0.0);
            }));
      }
    }
  }
}

}  // namespace

template <class T>
void sweeps_and_reductions(const KernelTable<T>& table) {
  rules(table);
  rows_equal_sweeps(table);
  dense_updates(table);
  reductions(table);
  dropouts(table);
}
template void sweeps_and_reductions(const KernelTable<float>&);
template void sweeps_and_reductions(const KernelTable<double>&);

}  // namespace check
