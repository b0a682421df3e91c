// Adam: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, Algorithm 1, in the form
// of its section 2 with the bias corrections in the step size:
//   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= step m / (sqrt(v) + eps)
//   step = lr sqrt(1 - b2^t) / (1 - b1^t)
// keras: eps is the paper's "epsilon hat"; torch divides sqrt(v) by sqrt(1 - b2^t) first, which is
// the same with eps sqrt(1 - b2^t).
// AdamW (Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, Algorithm 2) is Adam
// behind a decay p *= 1 - lr lambda, which the sweep does for every rule.
#pragma once

#include "rule.h"

namespace onepass::math {
namespace {

struct Adam {
  static constexpr const char* kName = "adam";
  static constexpr int kStates = 2;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 3;
  static constexpr const char* kOptions[] = {"beta_1", "beta_2", "epsilon"};
  static constexpr int kHyperCount = 6;
  static constexpr const char* kHyper[] = {"step",   "beta_1",           "one_minus_beta_1",
                                           "beta_2", "one_minus_beta_2", "epsilon"};
  template <class T>
  struct Hyper {
    T step, beta_1, one_minus_beta_1, beta_2, one_minus_beta_2, epsilon;
  };

  static void prepare(const double* options, Convention convention, StepTime at, double* scalars) {
    const double beta_1 = options[0], beta_2 = options[1], epsilon = options[2];
    const double t = static_cast<double>(at.t);
    const double root = __builtin_sqrt(1.0 - __builtin_pow(beta_2, t));
    scalars[0] = at.learning_rate * root / (1.0 - __builtin_pow(beta_1, t));
    scalars[1] = beta_1;
    scalars[2] = 1.0 - beta_1;
    scalars[3] = beta_2;
    scalars[4] = 1.0 - beta_2;
    scalars[5] = convention == Convention::kKeras ? epsilon : epsilon * root;
  }
  // At zero gradient and state the update is step * 0 / epsilon.
  static bool keeps_zero(const double* scalars) { return scalars[5] > 1e-37; }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& m, T& v) {
    m = h.beta_1 * m + h.one_minus_beta_1 * g;
    v = h.beta_2 * v + h.one_minus_beta_2 * (g * g);
    p -= h.step * m / (math::sqrt(v) + h.epsilon);
  }
};

struct AdamW : Adam {
  static constexpr const char* kName = "adamw";
};

}  // namespace
}  // namespace onepass::math
