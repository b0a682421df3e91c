// categorical_generalized_crossentropy of one row: (1 - p^q) / q, where p is the probability given
// to the target: between the absolute error (q = 1) and the cross-entropy (q to 0). Zhang and
// Sabuncu, Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels,
// 2018.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct CategoricalGeneralizedCrossentropy {
  static constexpr const char* kName = "categorical_generalized_crossentropy";
  static constexpr const char* kPrediction = "probability";
  static constexpr bool kFromLogits = false;
  static constexpr bool kOfTarget = true;  // reads the row through sum_j t_j p_j alone
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"q"};
  template <class T>
  struct Hyper {
    T q;
  };

  template <class T>
  ONEPASS_HD static T value(T p, const Hyper<T>& h) {
    return (T(1) - math::exp(h.q * math::log(p))) / h.q;
  }
  // -p^(q - 1), finite for p = 0.
  template <class T>
  ONEPASS_HD static T slope(T p, const Hyper<T>& h) {
    return -math::exp((h.q - T(1)) * math::log(math::max(p, T(1e-7))));
  }
};

}  // namespace
}  // namespace onepass::math
