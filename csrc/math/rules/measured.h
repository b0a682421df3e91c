// Rules whose steps depend on more than an element: before the sweep the plan adds something up
// over whole tensors, for which a rule has `measured(h, g, states ...)`, a number for each element.
#pragma once

#include "rule.h"

namespace onepass::math {
namespace {

// Of one tensor. `p` and `measured` are behind everything that surrounds the rule; but of a rule
// with kDecayApart `measured` is without the part `decay` of the parameters in the gradient.
struct TensorNorms {
  double p, measured, decay;

  // False where one is zero, NaN too: then tensors are not scaled.
  bool positive() const { return p > 0.0 && measured > 0.0; }
};

// Rules whose steps are scaled by norms of the parameters and of `measured`: `scale` turns these
// into a tensor's numbers.
template <class R>
constexpr bool kScaled = requires { &R::scale; };

// Rules that learn the rate of a group: `hypergradient_rate` times the sum of g * measured over all
// its tensors is added to it before the step. `measured` is the direction of the step before: it
// gets that one's numbers, prepared with the learning rate 1.
template <class R>
constexpr bool kLearnsRate = requires { &R::hypergradient_rate; };

template <class R>
constexpr bool kMeasured = kScaled<R> || kLearnsRate<R>;

}  // namespace
}  // namespace onepass::math
