// FTRL-proximal: McMahan et al., Ad Click Prediction: a View from the Trenches, 2013, Algorithm 1,
// as Keras has it.
//   n' = n + g^2;  z = z + g + 2 shrinkage p - (n'^a - n^a) / lr p;  n = n'
//   p = (clamp(z, -l1, l1) - z) / (n^a / lr + 2 (l2 + beta / (2 lr)))
// a = -learning_rate_power, mostly 1/2: a rule of its own. A step at lr = 0, which divides by it,
// does nothing.
#pragma once

#include "../power.h"
#include "rule.h"

namespace onepass::math {
namespace {

struct FtrlOptions {
  static constexpr int kStates = 2;
  static constexpr bool kFewOperations = false;
  // The power is the last one: the rule that takes the root leaves it out.
  static constexpr const char* kOptions[] = {
      "l1_regularization_strength", "l2_regularization_strength",
      "l2_shrinkage_regularization_strength", "beta", "learning_rate_power"};
  static constexpr int kHyperCount = 6;
  static constexpr const char* kHyper[] = {"moves", "per_rate", "l1", "l2", "shrinkage", "power"};
  template <class T>
  struct Hyper {
    T moves, per_rate, l1, l2, shrinkage, power;
  };

  ONEPASS_HD static void prepare_for(const double* options, double power, StepTime at,
                                     double* scalars) {
    const bool moves = at.learning_rate > 0.0;
    const double per_rate = moves ? 1.0 / at.learning_rate : 0.0;
    scalars[0] = moves ? 1.0 : 0.0;
    scalars[1] = per_rate;
    scalars[2] = options[0];
    scalars[3] = 2.0 * options[1] + options[3] * per_rate;
    scalars[4] = 2.0 * options[2];
    scalars[5] = power;
  }
  static bool keeps_zero(const double* scalars) { return scalars[5] >= 0.0; }

  // `before` and `after`: n^a and n'^a.
  template <class T>
  ONEPASS_HD static void step(const Hyper<T>& h, T g, T before, T after, T& p, T& n, T& z) {
    const bool moves = h.moves != T(0);
    const T sum = z + ((g + h.shrinkage * p) - (after - before) * h.per_rate * p);
    const T excess = clamp(sum, -h.l1, h.l1) - sum;
    const T quotient = excess / (after * h.per_rate + h.l2);
    // Within l1 the parameter is 0, even where nothing was accumulated and the quotient is 0/0.
    const T moved = excess == T(0) ? T(0) : quotient;
    n = moves ? n + g * g : n;
    z = moves ? sum : z;
    p = moves ? moved : p;
  }
};

struct Ftrl : FtrlOptions {
  static constexpr const char* kName = "ftrl";
  static constexpr int kOptionCount = 4;

  ONEPASS_HD static void prepare(const double* options, Convention, StepTime at, double* scalars) {
    prepare_for(options, 0.5, at, scalars);
  }
  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& n, T& z) {
    step(h, g, math::sqrt(n), math::sqrt(n + g * g), p, n, z);
  }
};

struct FtrlPower : FtrlOptions {
  static constexpr const char* kName = "ftrl_power";
  static constexpr int kOptionCount = 5;

  ONEPASS_HD static void prepare(const double* options, Convention, StepTime at, double* scalars) {
    prepare_for(options, -options[4], at, scalars);
  }
  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& n, T& z) {
    const T before = power_of_positive(n, h.power);
    step(h, g, before, power_of_positive(n + g * g, h.power), p, n, z);
  }
};

}  // namespace
}  // namespace onepass::math
