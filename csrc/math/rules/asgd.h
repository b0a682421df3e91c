// ASGD: Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992, as torch
// has it. With eta starting at lr and mu(1) = 1, mu(t) = 1 / max(1, t - 1 - t0):
//   p = (1 - lambd eta) p - eta g;  a = a + mu (p - a);  eta = lr / (1 + lambd lr t)^alpha
// So a step takes the learning rate of the one before, which each element keeps.
#pragma once

#include "../power.h"
#include "rule.h"

namespace onepass::math {
namespace {

struct Asgd {
  static constexpr const char* kName = "asgd";
  static constexpr int kStates = 2;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 3;
  static constexpr const char* kOptions[] = {"lambd", "alpha", "t0"};
  static constexpr int kHyperCount = 3;
  static constexpr const char* kHyper[] = {"lambd", "mu", "next_eta"};
  template <class T>
  struct Hyper {
    T lambd, mu, next_eta;
  };

  ONEPASS_HD static void prepare(const double* options, Convention, StepTime at, double* scalars) {
    const double t = static_cast<double>(at.t), averaged = t - 1.0 - options[2];
    scalars[0] = options[0];
    scalars[1] = at.t > 1 && averaged > 1.0 ? 1.0 / averaged : 1.0;
    scalars[2] =
        at.learning_rate / power_of_positive(1.0 + options[0] * at.learning_rate * t, options[1]);
  }
  static bool keeps_zero(const double*) { return false; }  // eta

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& average, T& eta) {
    p = p * (T(1) - h.lambd * eta) - eta * g;
    average = h.mu == T(1) ? p : average + h.mu * (p - average);
    eta = h.next_eta;
  }
};

}  // namespace
}  // namespace onepass::math
