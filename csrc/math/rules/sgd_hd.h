// SGD-HD: Baydin et al., Online Learning Rate Adaptation with Hypergradient Descent, 2018,
// Algorithm 4. The sum is over all tensors, g' the gradient of the step before, 0 at first:
//   lr += beta sum(g g');  p -= lr g
#pragma once

#include "measured.h"
#include "sgd.h"

namespace onepass::math {
namespace {

struct SgdHd : Sgd {
  static constexpr const char* kName = "sgd_hd";
  static constexpr int kStates = 1;
  static constexpr bool kFewOperations = false;  // never on the way from a product
  static constexpr bool kDecayApart = false;
  static constexpr int kOptionCount = 1;
  static constexpr const char* kOptions[] = {"hypergradient_learning_rate"};

  static double hypergradient_rate(const double* options) { return options[0]; }

  template <class T>
  ONEPASS_HD static T measured(const Hyper<T>&, T, T before) {
    return before;
  }
  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& before) {
    Sgd::apply(h, g, p);
    before = g;
  }
};

}  // namespace
}  // namespace onepass::math
