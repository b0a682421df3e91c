// RAdam: Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020, Algorithm 2,
// as torch has it.
//   m, v as Adam;  r0 = 2 / (1 - b2) - 1;  r = r0 - 2 t b2^t / (1 - b2^t)
//   r > 5   p -= lr / (1 - b1^t) sqrt(1 - b2^t) m / (sqrt(v) + eps)
//                 * sqrt((r - 4) (r - 2) r0 / ((r0 - 4) (r0 - 2) r))
//   else    p -= lr / (1 - b1^t) m
#pragma once

#include "moments.h"

namespace onepass::math {
namespace {

struct RAdam {
  static constexpr const char* kName = "radam";
  static constexpr int kStates = 2;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 4;
  static constexpr const char* kOptions[] = {"beta_1", "beta_2", "epsilon", "epsilon_inside_sqrt"};
  static constexpr int kHyperCount = 8;
  static constexpr const char* kHyper[] = {
      "step",    "beta_1", "one_minus_beta_1", "beta_2", "one_minus_beta_2", "inside",
      "outside", "adapts"};
  template <class T>
  struct Hyper {
    T step, beta_1, one_minus_beta_1, beta_2, one_minus_beta_2, inside, outside, adapts;
  };

  ONEPASS_HD static void prepare(const double* options, Convention, StepTime at, double* scalars) {
    const double beta_1 = options[0], beta_2 = options[1];
    const double t = static_cast<double>(at.t), correction = bias_correction(beta_2, at.t);
    const double limit = 2.0 / (1.0 - beta_2) - 1.0;
    const double length = limit - 2.0 * t * (1.0 - correction) / correction;
    const bool adapts = length > 5.0;
    const double rectified = math::sqrt((length - 4.0) * (length - 2.0) * limit /
                                        ((limit - 4.0) * (limit - 2.0) * length));
    const double factor = adapts ? rectified * math::sqrt(correction) : 1.0;
    const Epsilon epsilon = Epsilon::at(options[2], options[3] != 0.0);
    scalars[0] = at.learning_rate / bias_correction(beta_1, at.t) * factor;
    scalars[1] = beta_1;
    scalars[2] = 1.0 - beta_1;
    scalars[3] = beta_2;
    scalars[4] = 1.0 - beta_2;
    scalars[5] = epsilon.inside;
    scalars[6] = epsilon.outside;
    scalars[7] = adapts ? 1.0 : 0.0;
  }
  static bool keeps_zero(const double* scalars) {
    return scalars[7] == 0.0 || divides_zero(scalars[5], scalars[6]);
  }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& m, T& v) {
    m = running_mean(m, g, h.beta_1, h.one_minus_beta_1);
    v = running_mean(v, g * g, h.beta_2, h.one_minus_beta_2);
    const T root = denominator(v, h.inside, h.outside);
    p -= h.step * m / (h.adapts != T(0) ? root : T(1));
  }
};

}  // namespace
}  // namespace onepass::math
