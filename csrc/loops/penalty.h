// Penalties: their values row by row, and their gradient while a row is in the first-level cache.
#pragma once

#include "../math/penalty.h"
#include "row_norms.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
ONEPASS_LOOP void penalty(const Penalty<T>& a, Team& team) {
  const T slope_1 = static_cast<T>(a.l1 * a.scale), slope_2 = static_cast<T>(a.l2 * a.scale);
  const Range share = team.share(a.x.rows, 1);
  for (int64_t r = share.begin; r < share.end; ++r) {
    const T* x = a.x.row(r);
    if (a.values != nullptr) {
      const RowNorms<T> norms(x, a.x.cols);
      const double value = math::penalty(norms.absolute, norms.squares, a.l1, a.l2);
      if (leads()) a.values[r] = value;
    }
    if (!a.gradient) continue;
    T* g = a.gradient.row(r);
    if (a.accumulate) {
      for_elements(0, a.x.cols, [&](int64_t c) ONEPASS_FLAT {
        g[c] += math::penalty_derivative(x[c], slope_1, slope_2);
      });
    } else {
      for_elements(0, a.x.cols, [&](int64_t c) ONEPASS_FLAT {
        g[c] = math::penalty_derivative(x[c], slope_1, slope_2);
      });
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
