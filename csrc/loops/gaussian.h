// Normal noise, added or multiplied. Never stored: the backward pass draws it again.
#pragma once

#include "../math/normal.h"
#include "noise.h"

namespace onepass::ONEPASS_ISA {
namespace {

// mean + stddev n for the units of a group: words i and i + 32 make the deviates of these units.
template <class T>
ONEPASS_DEVICE OfGroup<T> noise_of_group(const NoiseKey& key, uint32_t group, uint32_t place,
                                         int64_t units, double mean, double stddev) {
  const auto pair = [&](uint32_t first, uint32_t second, T& a, T& b) ONEPASS_FLAT {
    const math::NormalPair n = math::normal_pair(first, second);
    a = static_cast<T>(mean + stddev * n.first);
    b = static_cast<T>(mean + stddev * n.second);
  };
  return from_pairs<T>(words_of_group(key, group, place), units, pair);
}

template <bool kMultiplies, class T>
ONEPASS_DEVICE void disturb(const T* x, const OfGroup<T>& noise, int64_t skip, T* y, int64_t n,
                            bool accumulate) {
  const auto value = [&](int64_t i, T amount)
                         ONEPASS_FLAT { return kMultiplies ? x[i] * amount : x[i] + amount; };
  if (accumulate) {
    for_units_of(noise, skip, n,
                 [&](int64_t i, T amount) ONEPASS_FLAT { y[i] += value(i, amount); });
  } else {
    for_units_of(noise, skip, n,
                 [&](int64_t i, T amount) ONEPASS_FLAT { y[i] = value(i, amount); });
  }
}

template <class T>
ONEPASS_LOOP void gaussian(const Gaussian<T>& a, Team& team) {
  const double mean = a.multiplies ? 1.0 : 0.0;
  for_units(a, rows_of_member(a.y, team),
            [&](const T* x, T* y, int64_t n, int64_t skip, uint32_t group, uint32_t place) {
              const auto noise = noise_of_group<T>(a.key, group, place, skip + n, mean, a.stddev);
              if (a.multiplies) {
                disturb<true>(x, noise, skip, y, n, a.accumulate);
              } else {
                disturb<false>(x, noise, skip, y, n, a.accumulate);
              }
            });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
