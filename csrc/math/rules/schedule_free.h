// Schedule-free AdamW: Defazio et al., The Road Less Scheduled, 2024, Algorithm 1, as Keras has it:
// parameters hold y, where gradients are taken; x is the average that the method converges with.
//   v = b2 v + (1 - b2) g^2;  z' = z - lr g / (sqrt(v / (1 - b2^t)) + eps)
//   x = (y - (1 - b1) z) / b1;  x' = (1 - 1/t) x + z' / t;  y = (1 - b1) z' + b1 x';  z = z'
// Put together x needs no memory and no division by b1:
//   y = (1 - 1/t) (y - (1 - b1) z) + (1 - b1 + b1 / t) z'
// The learning rate rises from 0 for warmup_steps.
#pragma once

#include "moments.h"

namespace onepass::math {
namespace {

struct ScheduleFreeAdamW {
  static constexpr const char* kName = "schedule_free_adamw";
  static constexpr int kStates = 2;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 5;
  static constexpr const char* kOptions[] = {"beta_1", "beta_2", "epsilon", "epsilon_inside_sqrt",
                                             "warmup_steps"};
  static constexpr int kHyperCount = 8;
  static constexpr const char* kHyper[] = {
      "step",   "one_minus_beta_1", "beta_2", "one_minus_beta_2",
      "inside", "outside",          "keep",   "pull"};
  template <class T>
  struct Hyper {
    T step, one_minus_beta_1, beta_2, one_minus_beta_2, inside, outside, keep, pull;
  };

  ONEPASS_HD static void prepare(const double* options, Convention, StepTime at, double* scalars) {
    const double beta_1 = options[0], beta_2 = options[1], warmup_steps = options[4];
    const double t = static_cast<double>(at.t), correction = bias_correction(beta_2, at.t);
    const double warmth = t < warmup_steps ? t / warmup_steps : 1.0;
    const Epsilon epsilon = Epsilon::at(options[2], options[3] != 0.0, correction);
    scalars[0] = at.learning_rate * warmth * math::sqrt(correction);
    scalars[1] = 1.0 - beta_1;
    scalars[2] = beta_2;
    scalars[3] = 1.0 - beta_2;
    scalars[4] = epsilon.inside;
    scalars[5] = epsilon.outside;
    scalars[6] = 1.0 - 1.0 / t;
    scalars[7] = 1.0 - beta_1 + beta_1 / t;
  }
  static bool keeps_zero(const double* scalars) { return divides_zero(scalars[4], scalars[5]); }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& z, T& v) {
    v = running_mean(v, g * g, h.beta_2, h.one_minus_beta_2);
    const T averaged = p - h.one_minus_beta_1 * z;  // b1 x
    z -= h.step * g / denominator(v, h.inside, h.outside);
    p = h.keep * averaged + h.pull * z;
  }
};

}  // namespace
}  // namespace onepass::math
