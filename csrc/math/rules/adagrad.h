// Adagrad: Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning and Stochastic
// Optimization, 2011.
//   a = a + g^2
//   keras  p -= lr g / sqrt(a + eps)
//   torch  p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(a) + eps)
#pragma once

#include "moments.h"

namespace onepass::math {
namespace {

struct Adagrad {
  static constexpr const char* kName = "adagrad";
  static constexpr int kStates = 1;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 3;
  static constexpr const char* kOptions[] = {"epsilon", "epsilon_inside_sqrt", "lr_decay"};
  static constexpr int kHyperCount = 3;
  static constexpr const char* kHyper[] = {"step", "inside", "outside"};
  template <class T>
  struct Hyper {
    T step, inside, outside;
  };

  ONEPASS_HD static void prepare(const double* options, Convention convention, StepTime at,
                                 double* scalars) {
    const bool keras = convention == Convention::kKeras;
    const Epsilon epsilon = Epsilon::at(options[0], keras || options[1] != 0.0);
    const double steps_done = static_cast<double>(at.t - 1);
    scalars[0] = at.learning_rate / (1.0 + steps_done * options[2]);
    scalars[1] = epsilon.inside;
    scalars[2] = epsilon.outside;
  }
  static bool keeps_zero(const double* scalars) { return divides_zero(scalars[1], scalars[2]); }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& a) {
    a += g * g;
    p -= h.step * g / denominator(a, h.inside, h.outside);
  }
};

}  // namespace
}  // namespace onepass::math
