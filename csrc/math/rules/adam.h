// Adam: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, Algorithm 1, in the form
// of its section 2 with the bias corrections in the step size:
//   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= step m / (sqrt(v) + eps)
//   step = lr sqrt(1 - b2^t) / (1 - b1^t)
// keras: eps is the paper's "epsilon hat"; torch divides sqrt(v) by sqrt(1 - b2^t) first, which is
// the same with eps sqrt(1 - b2^t). With epsilon_inside_sqrt: sqrt(v + eps).
// AMSGrad (Reddi, Kale and Kumar, On the Convergence of Adam and Beyond, 2018, Algorithm 2, with
// Adam's bias corrections) divides by the largest v so far.
// AdamW (Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, Algorithm 2) is Adam
// behind a decay p *= 1 - lr lambda, which the sweep does for every rule.
#pragma once

#include "moments.h"

namespace onepass::math {
namespace {

struct Adam {
  static constexpr const char* kName = "adam";
  static constexpr int kStates = 2;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 4;
  static constexpr const char* kOptions[] = {"beta_1", "beta_2", "epsilon", "epsilon_inside_sqrt"};
  static constexpr int kHyperCount = 7;
  static constexpr const char* kHyper[] = {
      "step", "beta_1", "one_minus_beta_1", "beta_2", "one_minus_beta_2", "inside", "outside"};
  template <class T>
  struct Hyper {
    T step, beta_1, one_minus_beta_1, beta_2, one_minus_beta_2, inside, outside;
  };

  ONEPASS_HD static void prepare(const double* options, Convention convention, StepTime at,
                                 double* scalars) {
    const double beta_1 = options[0], beta_2 = options[1];
    const double correction = bias_correction(beta_2, at.t);
    const bool keras = convention == Convention::kKeras;
    const Epsilon epsilon = Epsilon::at(options[2], options[3] != 0.0, keras ? 1.0 : correction);
    scalars[0] = at.learning_rate * math::sqrt(correction) / bias_correction(beta_1, at.t);
    scalars[1] = beta_1;
    scalars[2] = 1.0 - beta_1;
    scalars[3] = beta_2;
    scalars[4] = 1.0 - beta_2;
    scalars[5] = epsilon.inside;
    scalars[6] = epsilon.outside;
  }
  static bool keeps_zero(const double* scalars) { return divides_zero(scalars[5], scalars[6]); }

  template <class T>
  ONEPASS_HD static void average(const Hyper<T>& h, T g, T& m, T& v) {
    m = running_mean(m, g, h.beta_1, h.one_minus_beta_1);
    v = running_mean(v, g * g, h.beta_2, h.one_minus_beta_2);
  }
  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& m, T& v) {
    average(h, g, m, v);
    p -= h.step * m / denominator(v, h.inside, h.outside);
  }
};

struct AdamW : Adam {
  static constexpr const char* kName = "adamw";
};

struct AmsGrad : Adam {
  static constexpr const char* kName = "amsgrad";
  static constexpr int kStates = 3;

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& m, T& v, T& largest) {
    average(h, g, m, v);
    largest = math::max(largest, v);
    p -= h.step * m / denominator(largest, h.inside, h.outside);
  }
};

}  // namespace
}  // namespace onepass::math
