// What dropout makes of an element: scale x + shift where it is kept, `dropped` where not.
#pragma once

#include "activations/elu.h"
#include "hd.h"

namespace onepass::math {
namespace {

struct Dropping {
  double scale, shift, dropped;
};

// A shift of -0 changes nothing, not even -0.
ONEPASS_HD Dropping inverted_dropout(double rate) {
  return {rate < 1.0 ? 1.0 / (1.0 - rate) : 0.0, -0.0, 0.0};
}

// Klambauer, Unterthiner, Mayr and Hochreiter, Self-Normalizing Neural Networks, 2017: what is
// dropped is set to selu's lowest value v, and then a x + b keeps mean 0 and variance 1.
//   a = 1 / sqrt((1 - rate) (1 + rate v^2)), b = -a v rate
ONEPASS_HD Dropping alpha_dropout(double rate) {
  const double low = -Selu::kBelow;
  const double a = 1.0 / sqrt((1.0 - rate) * (1.0 + rate * low * low));
  const double b = -a * low * rate;
  return {a, b, a * low + b};
}

ONEPASS_HD Dropping dropping(double rate, bool alpha, bool gradient) {
  const Dropping d = alpha ? alpha_dropout(rate) : inverted_dropout(rate);
  return gradient ? Dropping{d.scale, -0.0, 0.0} : d;
}

}  // namespace
}  // namespace onepass::math
