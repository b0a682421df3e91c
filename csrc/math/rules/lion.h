// Lion: Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, Algorithm 2.
//   p -= lr sign(b1 m + (1 - b1) g);  m = b2 m + (1 - b2) g
#pragma once

#include "moments.h"

namespace onepass::math {
namespace {

struct Lion {
  static constexpr const char* kName = "lion";
  static constexpr int kStates = 1;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 2;
  static constexpr const char* kOptions[] = {"beta_1", "beta_2"};
  static constexpr int kHyperCount = 5;
  static constexpr const char* kHyper[] = {"step", "beta_1", "one_minus_beta_1", "beta_2",
                                           "one_minus_beta_2"};
  template <class T>
  struct Hyper {
    T step, beta_1, one_minus_beta_1, beta_2, one_minus_beta_2;
  };

  ONEPASS_HD static void prepare(const double* options, Convention, StepTime at, double* scalars) {
    scalars[0] = at.learning_rate;
    scalars[1] = options[0];
    scalars[2] = 1.0 - options[0];
    scalars[3] = options[1];
    scalars[4] = 1.0 - options[1];
  }
  static bool keeps_zero(const double*) { return true; }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& m) {
    p -= h.step * math::sign(running_mean(m, g, h.beta_1, h.one_minus_beta_1));
    m = running_mean(m, g, h.beta_2, h.one_minus_beta_2);
  }
};

}  // namespace
}  // namespace onepass::math
