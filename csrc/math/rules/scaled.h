// Rules whose steps depend on norms over a whole tensor: before the sweep the plan sums up squares
// of the parameters and of what `measured` returns, and `scale` turns the norms into this tensor's
// numbers.
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

template <class R>
constexpr bool kMeasured = requires { &R::scale; };

}  // namespace
}  // namespace onepass::math
