// Penalties: their values in fixed lanes, row by row, and their gradient in the same pass.
#pragma once

#include "../math/penalty.h"
#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
void penalty(const Penalty<T>& a, Team& team) {
  const double l1 = a.l1, l2 = a.l2;
  const T slope_1 = static_cast<T>(l1 * a.scale), slope_2 = static_cast<T>(l2 * a.scale);
  const Range share = team.share(a.x.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* x = a.x.row(r);
    Lanes<double> sum;
    for_chunks(a.x.cols, [&](int64_t at, auto extent) __attribute__((always_inline)) {
      const Chunk<T> c = load(x + at, extent);
      sum.add(lanewise<double>(
                  [&](int l) { return math::penalty(static_cast<double>(c.at[l]), l1, l2); }),
              extent);
      if (!a.gradient) return;
      T* to = a.gradient.row(r) + at;
      Chunk<T> g =
          lanewise<T>([&](int l) { return math::penalty_derivative(c.at[l], slope_1, slope_2); });
      if (a.accumulate) {
        const Chunk<T> old = load(to, extent);
        g = lanewise<T>([&](int l) { return old.at[l] + g.at[l]; });
      }
      store(to, g, extent);
    });
    if (a.values != nullptr) a.values[r] = sum.total();
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
