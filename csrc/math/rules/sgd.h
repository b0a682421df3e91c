// Stochastic gradient descent, with classical and Nesterov momentum.
// Polyak 1964; Sutskever, Martens, Dahl and Hinton, On the importance of initialization and
// momentum in deep learning, 2013, eqs. 1-4.
//   sgd       p -= lr g
//   momentum  keras  m = mu m - lr g;                   p += m
//             torch  m = mu m + (1 - d) g (first: g);   p -= lr m
//   nesterov  keras  m as above;  p += mu m - lr g
//             torch  m as above;  p -= lr (g + mu m)
// The conventions differ in scalars only: m = a m + b g, p += c m (+ e g).
#pragma once

#include "rule.h"

namespace onepass::math {
namespace {

struct Sgd {
  static constexpr const char* kName = "sgd";
  static constexpr int kStates = 0;
  static constexpr bool kFewOperations = true;
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"step"};
  static constexpr int kOptionCount = 0;
  static constexpr const char* const* kOptions = nullptr;
  template <class T>
  struct Hyper {
    T step;
  };

  ONEPASS_HD static void prepare(const double*, Convention, StepTime at, double* scalars) {
    scalars[0] = at.learning_rate;
  }
  static bool keeps_zero(const double*) { return true; }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p) {
    p -= h.step * g;
  }
};

struct MomentumOptions {
  static constexpr int kStates = 1;
  static constexpr bool kFewOperations = true;
  static constexpr int kOptionCount = 2;
  static constexpr const char* kOptions[] = {"momentum", "dampening"};
  static constexpr int kHyperCount = 4;
  static constexpr const char* kHyper[] = {"decay", "gain", "velocity_step", "gradient_step"};
  template <class T>
  struct Hyper {
    T decay, gain, velocity_step, gradient_step;
  };

  ONEPASS_HD static void prepare_velocity(const double* options, Convention convention, StepTime at,
                                          double* scalars) {
    const double mu = options[0], dampening = options[1];
    if (convention == Convention::kKeras) {
      scalars[0] = mu;
      scalars[1] = -at.learning_rate;
    } else {
      scalars[0] = at.t == 1 ? 0.0 : mu;
      scalars[1] = at.t == 1 ? 1.0 : 1.0 - dampening;
    }
  }
  static bool keeps_zero(const double*) { return true; }
};

struct Momentum : MomentumOptions {
  static constexpr const char* kName = "momentum";

  ONEPASS_HD static void prepare(const double* options, Convention convention, StepTime at,
                                 double* scalars) {
    prepare_velocity(options, convention, at, scalars);
    scalars[2] = convention == Convention::kKeras ? 1.0 : -at.learning_rate;
    scalars[3] = 0.0;
  }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& m) {
    m = h.decay * m + h.gain * g;
    p += h.velocity_step * m;
  }
};

struct Nesterov : MomentumOptions {
  static constexpr const char* kName = "nesterov";

  ONEPASS_HD static void prepare(const double* options, Convention convention, StepTime at,
                                 double* scalars) {
    prepare_velocity(options, convention, at, scalars);
    const bool keras = convention == Convention::kKeras;
    scalars[2] = keras ? options[0] : -at.learning_rate * options[0];
    scalars[3] = -at.learning_rate;
  }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& m) {
    m = h.decay * m + h.gain * g;
    p += h.velocity_step * m + h.gradient_step * g;
  }
};

}  // namespace
}  // namespace onepass::math
