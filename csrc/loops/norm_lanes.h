// The order in which squares and products of whole arrays add up: kNormLanes lanes, joined by a
// fixed tree.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class Sum>
ONEPASS_DEVICE double joined_lanes(const Sum* lanes) {
  return join(lanewise<double>([&](int l) {
                return (static_cast<double>(lanes[l]) + static_cast<double>(lanes[l + 32])) +
                       (static_cast<double>(lanes[l + 16]) + static_cast<double>(lanes[l + 48]));
              }),
              [](double p, double q) { return p + q; });
}

// sum_as(Sum(0)) adds up in that type. Squares of floats above 1.8e19 overflow and below 1e-19
// vanish: then they add up in double.
template <class T, class F>
ONEPASS_DEVICE double squares_by(F&& sum_as) {
  const double sum = sum_as(T(0));
  if constexpr (sizeof(T) == sizeof(float)) {
    if (!(sum < 1e38) || sum < 1e-24) return sum_as(0.0);
  }
  return sum;
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
