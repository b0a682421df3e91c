// RMSprop: Hinton, Neural Networks for Machine Learning, lecture 6e, 2012; centered: Graves,
// Generating Sequences With Recurrent Neural Networks, 2013, eqs. 38-41.
//   v = rho v + (1 - rho) g^2;  centered: a = rho a + (1 - rho) g, and v - a^2 in place of v
//   keras  d = lr g / sqrt(v + eps);     momentum: b = mu b + d, d = b;  p -= d
//   torch  d = g / (sqrt(v) + eps);      momentum: b = mu b + d, d = b;  p -= lr d
// The conventions differ in scalars only.
#pragma once

#include "moments.h"

namespace onepass::math {
namespace {

struct RmspropOptions {
  static constexpr bool kFewOperations = false;
  // Momentum is the last one: the rules without it leave it out.
  static constexpr const char* kOptions[] = {"rho", "epsilon", "epsilon_inside_sqrt", "momentum"};
  static constexpr int kHyperCount = 7;
  static constexpr const char* kHyper[] = {"rho",      "one_minus_rho", "inside", "outside",
                                           "momentum", "gain",          "step"};
  template <class T>
  struct Hyper {
    T rho, one_minus_rho, inside, outside, momentum, gain, step;
  };

  ONEPASS_HD static void prepare_for(const double* options, double momentum, Convention convention,
                                     StepTime at, double* scalars) {
    const bool keras = convention == Convention::kKeras;
    const Epsilon epsilon = Epsilon::at(options[1], keras || options[2] != 0.0);
    scalars[0] = options[0];
    scalars[1] = 1.0 - options[0];
    scalars[2] = epsilon.inside;
    scalars[3] = epsilon.outside;
    scalars[4] = momentum;
    scalars[5] = keras ? at.learning_rate : 1.0;
    scalars[6] = keras ? 1.0 : at.learning_rate;
  }
  static bool keeps_zero(const double* scalars) { return divides_zero(scalars[2], scalars[3]); }

  template <class T>
  ONEPASS_HD static T change(const Hyper<T>& h, T g, T& v) {
    v = running_mean(v, g * g, h.rho, h.one_minus_rho);
    return h.gain * g / denominator(v, h.inside, h.outside);
  }
  // A variance is not negative, whatever rounding makes of it.
  template <class T>
  ONEPASS_HD static T centered_change(const Hyper<T>& h, T g, T& v, T& a) {
    v = running_mean(v, g * g, h.rho, h.one_minus_rho);
    a = running_mean(a, g, h.rho, h.one_minus_rho);
    return h.gain * g / denominator(math::max(v - a * a, T(0)), h.inside, h.outside);
  }
};

struct RmspropPlain : RmspropOptions {
  static constexpr int kOptionCount = 3;
  ONEPASS_HD static void prepare(const double* options, Convention convention, StepTime at,
                                 double* scalars) {
    prepare_for(options, 0.0, convention, at, scalars);
  }
};

struct RmspropWithMomentum : RmspropOptions {
  static constexpr int kOptionCount = 4;
  ONEPASS_HD static void prepare(const double* options, Convention convention, StepTime at,
                                 double* scalars) {
    prepare_for(options, options[3], convention, at, scalars);
  }
};

struct Rmsprop : RmspropPlain {
  static constexpr const char* kName = "rmsprop";
  static constexpr int kStates = 1;
  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& v) {
    p -= h.step * change(h, g, v);
  }
};

struct RmspropCentered : RmspropPlain {
  static constexpr const char* kName = "rmsprop_centered";
  static constexpr int kStates = 2;
  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& v, T& a) {
    p -= h.step * centered_change(h, g, v, a);
  }
};

struct RmspropMomentum : RmspropWithMomentum {
  static constexpr const char* kName = "rmsprop_momentum";
  static constexpr int kStates = 2;
  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& v, T& b) {
    b = h.momentum * b + change(h, g, v);
    p -= h.step * b;
  }
};

struct RmspropCenteredMomentum : RmspropWithMomentum {
  static constexpr const char* kName = "rmsprop_centered_momentum";
  static constexpr int kStates = 3;
  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& v, T& a, T& b) {
    b = h.momentum * b + centered_change(h, g, v, a);
    p -= h.step * b;
  }
};

}  // namespace
}  // namespace onepass::math
