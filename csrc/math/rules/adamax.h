// Adamax: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, Algorithm 2.
//   m = b1 m + (1 - b1) g;  p -= lr / (1 - b1^t) m / u
//   keras  u = max(b2 u, |g|), divided by u + eps;  torch  u = max(b2 u, |g| + eps)
#pragma once

#include "moments.h"

namespace onepass::math {
namespace {

struct Adamax {
  static constexpr const char* kName = "adamax";
  static constexpr int kStates = 2;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 3;
  static constexpr const char* kOptions[] = {"beta_1", "beta_2", "epsilon"};
  static constexpr int kHyperCount = 6;
  static constexpr const char* kHyper[] = {"step",   "beta_1", "one_minus_beta_1",
                                           "beta_2", "floor",  "epsilon"};
  template <class T>
  struct Hyper {
    T step, beta_1, one_minus_beta_1, beta_2, floor, epsilon;
  };

  ONEPASS_HD static void prepare(const double* options, Convention convention, StepTime at,
                                 double* scalars) {
    const double beta_1 = options[0], epsilon = options[2];
    const bool keras = convention == Convention::kKeras;
    scalars[0] = at.learning_rate / bias_correction(beta_1, at.t);
    scalars[1] = beta_1;
    scalars[2] = 1.0 - beta_1;
    scalars[3] = options[1];
    scalars[4] = keras ? 0.0 : epsilon;
    scalars[5] = keras ? epsilon : 0.0;
  }
  // A floor would become the norm of what has no gradient.
  static bool keeps_zero(const double* scalars) { return scalars[4] == 0.0 && scalars[5] > 1e-37; }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& m, T& u) {
    m = running_mean(m, g, h.beta_1, h.one_minus_beta_1);
    u = math::max(h.beta_2 * u, math::abs(g) + h.floor);
    p -= h.step * m / (u + h.epsilon);
  }
};

}  // namespace
}  // namespace onepass::math
