// Reductions over whole arrays: fixed blocks and lanes, so equal for every team and instruction
// set.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Few rows: one member adds them up, in order.
template <class T>
void weighted_sum(const WeightedSum<T>& a, Team& team) {
  if (team.rank != 0) return;
  double sum = 0.0, weight = 0.0;
  for (int64_t i = 0; i < a.size; ++i) {
    const double w = a.weights != nullptr ? static_cast<double>(a.weights[i]) : 1.0;
    // A row of weight 0 is left out even where its value is not finite.
    sum += w == 0.0 ? 0.0 : w * static_cast<double>(a.values[i]);
    weight += w;
  }
  a.sums[0] += sum;
  a.sums[1] += weight;
}

constexpr int kNormLanes = 64;  // four 512-bit accumulators hide the latency of the addition

template <class T, class Sum>
double block_squares(const T* x, int64_t size) {
  alignas(64) Sum lanes[kNormLanes] = {};
  int64_t i = 0;
  for (; i + kNormLanes <= size; i += kNormLanes) {
    for (int l = 0; l < kNormLanes; ++l) {
      const Sum v = static_cast<Sum>(x[i + l]);
      lanes[l] += v * v;
    }
  }
  for (int64_t l = 0; i + l < size; ++l) {
    const Sum v = static_cast<Sum>(x[i + l]);
    lanes[l] += v * v;
  }
  double total[kNormLanes];
  for (int l = 0; l < kNormLanes; ++l) total[l] = static_cast<double>(lanes[l]);
  for (int width = kNormLanes / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) total[l] += total[l + width];
  }
  return total[0];
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
