// Adafactor's steps: its kernels over some tensors with what lies between them.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "../kernels.h"
#include "../memory.h"
#include "is_rule.h"
#include "optimizer.h"

namespace onepass {

template <class T>
class FactoredSteps {
 public:
  explicit FactoredSteps(const Device* device) : partials_(Reachable<double>(device)) {}

  static bool takes(int rule) { return is_rule<math::Adafactor>(rule); }

  static Lines lines_of(const TensorMemory& memory) {
    const int64_t size = memory.layout.size(), rows = memory.matrix_rows;
    if (rows == 0 || size == 0) {
      return {0, kNormBlock, kNormBlock, (size + kNormBlock - 1) / kNormBlock};
    }
    const bool plain = memory.layout.cols == memory.layout.stride;
    const int64_t stride = plain ? memory.matrix_cols : memory.layout.stride;
    return {rows, memory.matrix_cols, stride, size / stride};
  }

  // Room for the partial sums of one more tensor.
  void add(Lines& lines) {
    lines.first = static_cast<int64_t>(partials_.size());
    partials_.resize(partials_.size() + 2 * lines.count);
  }

  // The kernels; a barrier must come behind the first two.
  void moments(const Update<T>& all, const Lines* lines, const KernelTable<T>& table, Team& team) {
    each(all, lines, [&](const Factored<T>& one) { table.factor_moments(one, team); });
  }
  void measure(const Update<T>& all, const Lines* lines, const KernelTable<T>& table, Team& team) {
    each(all, lines, [&](const Factored<T>& one) { table.factor_measure(one, team); });
  }
  void update(const Update<T>& all, const Lines* lines, const KernelTable<T>& table, Team& team) {
    const auto step = math::Adafactor::step_of(all.scalars);
    each(all, lines, [&](Factored<T>& one) {
      if (!all.beyond.waits) one.step = size_of_step(one, step);
      table.factor_update(one, team);
    });
  }

 private:
  template <class F>
  void each(const Update<T>& all, const Lines* lines, F&& f) {
    constexpr double epsilon = std::numeric_limits<T>::epsilon();
    constexpr double smallest = std::numeric_limits<T>::min();
    const auto step = math::Adafactor::step_of(all.scalars);
    for (int64_t k = 0; k < all.n_segments; ++k) {
      if (all.segments[k].size == 0) continue;
      Factored<T> one{all.segments[k],
                      lines[k],
                      step.keep,
                      step.take,
                      step.added(epsilon),
                      step.least_mean(epsilon),
                      step.least_variance(epsilon, smallest),
                      all.around[all.shared_around ? 0 : k],
                      all.beside == nullptr ? nullptr : all.beside + k,
                      all.beyond,
                      partials_.data() + lines[k].first};
      f(one);
    }
  }

  // Every member adds up for itself, alike.
  static double size_of_step(const Factored<T>& a, const math::Adafactor::Step& step) {
    double p = 0.0, u = 0.0;
    for (int64_t line = 0; line < a.lines.count; ++line) {
      p += a.partial[2 * line];
      u += a.partial[2 * line + 1];
    }
    const bool vector = a.lines.rows == 0;
    const double n = static_cast<double>(vector ? a.segment.size : a.lines.count * a.lines.cols);
    const double kept = step.torch != 0.0 ? 1.0 : std::fabs(a.around.keep);
    return step.size(std::sqrt(p / n) * kept, std::sqrt(u / n));
  }

  ReachableVector<double> partials_;
};

}  // namespace onepass
