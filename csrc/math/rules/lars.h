// LARS: You, Gitman and Ginsburg, Large Batch Training of Convolutional Networks, 2017,
// Algorithm 1. With d = weight decay, c the trust coefficient and norms over the tensor:
//   m = momentum m + lr c |p| / (|g| + d |p|) (g + d p);  p -= m
// Where a norm is 0 the factor beside lr is 1.
#pragma once

#include "measured.h"

namespace onepass::math {
namespace {

struct Lars {
  static constexpr const char* kName = "lars";
  static constexpr int kStates = 1;
  static constexpr bool kFewOperations = false;
  static constexpr bool kDecayApart = true;
  static constexpr int kOptionCount = 2;
  static constexpr const char* kOptions[] = {"momentum", "trust_coefficient"};
  static constexpr int kHyperCount = 3;
  static constexpr const char* kHyper[] = {"step", "momentum", "trust_coefficient"};
  template <class T>
  struct Hyper {
    T step, momentum, trust_coefficient;
  };

  ONEPASS_HD static void prepare(const double* options, Convention, StepTime at, double* scalars) {
    scalars[0] = at.learning_rate;
    scalars[1] = options[0];
    scalars[2] = options[1];
  }
  static void scale(TensorNorms norms, StepTime, double* scalars) {
    if (!norms.positive()) return;
    scalars[0] *= scalars[2] * norms.p / (norms.measured + norms.decay * norms.p);
  }
  static bool keeps_zero(const double*) { return true; }

  template <class T>
  ONEPASS_HD static T measured(const Hyper<T>&, T g, T) {
    return g;
  }
  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& m) {
    m = h.momentum * m + h.step * g;
    p -= m;
  }
};

}  // namespace
}  // namespace onepass::math
