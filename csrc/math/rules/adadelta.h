// Adadelta: Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012, Algorithm 1.
//   v = rho v + (1 - rho) g^2;  d = sqrt(s + eps) g / sqrt(v + eps)
//   s = rho s + (1 - rho) d^2;  p -= lr d
#pragma once

#include "moments.h"

namespace onepass::math {
namespace {

struct Adadelta {
  static constexpr const char* kName = "adadelta";
  static constexpr int kStates = 2;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 2;
  static constexpr const char* kOptions[] = {"rho", "epsilon"};
  static constexpr int kHyperCount = 4;
  static constexpr const char* kHyper[] = {"step", "rho", "one_minus_rho", "epsilon"};
  template <class T>
  struct Hyper {
    T step, rho, one_minus_rho, epsilon;
  };

  ONEPASS_HD static void prepare(const double* options, Convention, StepTime at, double* scalars) {
    scalars[0] = at.learning_rate;
    scalars[1] = options[0];
    scalars[2] = 1.0 - options[0];
    scalars[3] = options[1];
  }
  static bool keeps_zero(const double* scalars) { return divides_zero(scalars[3], 0.0); }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& v, T& s) {
    v = running_mean(v, g * g, h.rho, h.one_minus_rho);
    const T change = math::sqrt(s + h.epsilon) * g / math::sqrt(v + h.epsilon);
    s = running_mean(s, change * change, h.rho, h.one_minus_rho);
    p -= h.step * change;
  }
};

}  // namespace
}  // namespace onepass::math
