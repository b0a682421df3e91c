// The weighted sum of rows' values.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Few rows: one member adds them up, in lanes.
template <class T>
ONEPASS_LOOP void weighted_sum(const WeightedSum<T>& a, Team& team) {
  if (team.rank != 0) return;
  Lanes<double> sum, weight;
  for_chunks(a.size, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> v = load(a.values + at, extent);
    Chunk<T> w = lanewise<T>([](int) { return T(1); });
    if (a.weights != nullptr) w = load(a.weights + at, extent);
    const Chunk<double> wide =
        lanewise<double>([&](int l) { return static_cast<double>(w.at[l]); });
    // A row of weight 0 is left out even where its value is not finite.
    sum.add(lanewise<double>([&](int l) {
              const double product = wide.at[l] * static_cast<double>(v.at[l]);
              return wide.at[l] == 0.0 ? 0.0 : product;
            }),
            extent);
    weight.add(wide, extent);
  });
  const double total = sum.total(), weights = weight.total();
  if (!leads()) return;
  a.sums[0] += a.factor * total;
  a.sums[1] += a.count < 0.0 ? weights : a.count;
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
