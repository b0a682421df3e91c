// Reductions over whole arrays: fixed blocks and lanes, so equal for every team and instruction
// set.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Few rows: one member adds them up, in lanes.
template <class T>
void weighted_sum(const WeightedSum<T>& a, Team& team) {
  if (team.rank != 0) return;
  Lanes<double> sum, weight;
  for_chunks(a.size, [&](int64_t at, auto extent) __attribute__((always_inline)) {
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
  a.sums[0] += sum.total();
  a.sums[1] += weight.total();
}

// Four chunks of lanes hide the latency of the addition. They are variables of their own: as one
// array of 64 they stay in memory, and each addition waits for a store.
template <class T, class Sum>
double block_squares(const T* x, int64_t size) {
  const auto add_square = [](Chunk<Sum>& sum, const Chunk<T>& c) __attribute__((always_inline)) {
    for (int l = 0; l < kLanes; ++l) {
      const Sum v = static_cast<Sum>(c.at[l]);
      sum.at[l] += v * v;
    }
  };
  const auto zero = [](int) { return Sum(0); };
  Chunk<Sum> a = lanewise<Sum>(zero), b = lanewise<Sum>(zero);
  Chunk<Sum> c = lanewise<Sum>(zero), d = lanewise<Sum>(zero);
  int64_t i = 0;
  for (; i + 4 * kLanes <= size; i += 4 * kLanes) {
    add_square(a, load(x + i, Whole{}));
    add_square(b, load(x + i + kLanes, Whole{}));
    add_square(c, load(x + i + 2 * kLanes, Whole{}));
    add_square(d, load(x + i + 3 * kLanes, Whole{}));
  }
  for_chunks(size - i, [&](int64_t at, auto extent) __attribute__((always_inline)) {
    add_square(at == 0 ? a : at == kLanes ? b : at == 2 * kLanes ? c : d, load(x + i + at, extent));
  });
  return join(lanewise<double>([&](int l) {
                return (static_cast<double>(a.at[l]) + static_cast<double>(c.at[l])) +
                       (static_cast<double>(b.at[l]) + static_cast<double>(d.at[l]));
              }),
              [](double p, double q) { return p + q; });
}

template <class T>
void sum_of_squares(const SumOfSquares<T>& a, Team& team) {
  const int64_t blocks = (a.size + kNormBlock - 1) / kNormBlock;
  const Range share = team.share(blocks, 1);
  for (int64_t b = share.begin; b < share.end; ++b) {
    const T* x = a.data + b * kNormBlock;
    const int64_t left = a.size - b * kNormBlock;
    const int64_t size = left < kNormBlock ? left : kNormBlock;
    double sum = block_squares<T, T>(x, size);
    // Squares of floats above 1.8e19 overflow and below 1e-19 vanish: then add up in double.
    if constexpr (sizeof(T) == sizeof(float)) {
      if (!(sum < 1e38) || sum < 1e-24) sum = block_squares<T, double>(x, size);
    }
    a.partial[b] = sum;
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
