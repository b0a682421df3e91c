// What rules that keep running means share: the mean, the bias corrections, where epsilon stands.
#pragma once

#include "../elementary.h"
#include "rule.h"

namespace onepass::math {
namespace {

// keep and take add up to 1; both are given, since 1 - keep of a rounded number is another one.
template <class T>
ONEPASS_HD T running_mean(T mean, T x, T keep, T take) {
  return keep * mean + take * x;
}

// 1 - beta^t: what is missing of a running mean that began at 0.
ONEPASS_HD double bias_correction(double beta, int64_t t) {
  return -expm1(static_cast<double>(t) * log(beta));
}

// A denominator sqrt(v + inside) + outside; one of the two is 0.
struct Epsilon {
  double inside, outside;

  // sqrt(v / correction) + epsilon or sqrt(v / correction + epsilon), times sqrt(correction).
  ONEPASS_HD static Epsilon at(double epsilon, bool inside_sqrt, double correction = 1.0) {
    if (inside_sqrt) return {epsilon * correction, 0.0};
    return {0.0, epsilon * math::sqrt(correction)};
  }
};

// At zero gradient and state the update is 0 / denominator.
ONEPASS_HD bool divides_zero(double inside, double outside) { return inside + outside > 1e-37; }

template <class T>
ONEPASS_HD T denominator(T v, T inside, T outside) {
  return math::sqrt(v + inside) + outside;
}

}  // namespace
}  // namespace onepass::math
