// Normal noise, added or multiplied. Never stored: the backward pass draws it again.
#pragma once

#include "../math/normal.h"
#include "noise.h"

namespace onepass::ONEPASS_ISA {
namespace {

// mean + stddev n for the units of a group: words i and i + 32 make the deviates of these units.
template <class T>
struct GroupNoise {
  alignas(64) T at[math::kPhiloxGroup];
};

constexpr int kPairs = math::kPhiloxGroup / 2;

// Those of the first `units` units at least.
template <class T>
ONEPASS_INLINE GroupNoise<T> noise_of_group(const NoiseKey& key, uint32_t group, uint32_t place,
                                            int64_t units, double mean, double stddev) {
  const GroupWords words = words_of_group(key, group, place);
  GroupNoise<T> noise;
  const int64_t pairs = units < kPairs ? (units + 7) / 8 * 8 : kPairs;
  ONEPASS_IVDEP
  for (int64_t i = 0; i < pairs; ++i) {
    const math::NormalPair n = math::normal_pair(words.at[i], words.at[i + kPairs]);
    noise.at[i] = static_cast<T>(mean + stddev * n.first);
    noise.at[i + kPairs] = static_cast<T>(mean + stddev * n.second);
  }
  return noise;
}

template <bool kMultiplies, class T>
ONEPASS_INLINE void disturb(const T* x, const T* noise, T* y, int64_t n, bool accumulate) {
  if (accumulate) {
    ONEPASS_IVDEP
    for (int64_t i = 0; i < n; ++i) y[i] += kMultiplies ? x[i] * noise[i] : x[i] + noise[i];
  } else {
    ONEPASS_IVDEP
    for (int64_t i = 0; i < n; ++i) y[i] = kMultiplies ? x[i] * noise[i] : x[i] + noise[i];
  }
}

template <class T>
void gaussian(const Gaussian<T>& a, Team& team) {
  const double mean = a.multiplies ? 1.0 : 0.0;
  for_units(a, rows_of_member(a.y, team),
            [&](const T* x, T* y, int64_t n, int64_t skip, uint32_t group, uint32_t place) {
              const auto noise = noise_of_group<T>(a.key, group, place, skip + n, mean, a.stddev);
              if (a.multiplies) {
                disturb<true>(x, noise.at + skip, y, n, a.accumulate);
              } else {
                disturb<false>(x, noise.at + skip, y, n, a.accumulate);
              }
            });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
