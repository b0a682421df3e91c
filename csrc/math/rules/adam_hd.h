// Adam-HD: Baydin et al., Online Learning Rate Adaptation with Hypergradient Descent, 2018,
// Algorithm 6. The sum is over all tensors, u' the direction of the step before, 0 at first:
//   lr += beta sum(g u');  then Adam, p -= lr u
#pragma once

#include "adam.h"
#include "measured.h"

namespace onepass::math {
namespace {

struct AdamHd : Adam {
  static constexpr const char* kName = "adam_hd";
  static constexpr bool kDecayApart = false;
  static constexpr int kOptionCount = 5;
  static constexpr const char* kOptions[] = {"beta_1", "beta_2", "epsilon", "epsilon_inside_sqrt",
                                             "hypergradient_learning_rate"};

  static double hypergradient_rate(const double* options) { return options[4]; }

  // Of what has not moved yet the quotient may be 0 / 0.
  template <class T>
  ONEPASS_HD static T measured(const Hyper<T>& h, T, T m, T v) {
    return m == T(0) ? T(0) : h.step * m / denominator(v, h.inside, h.outside);
  }
};

}  // namespace
}  // namespace onepass::math
