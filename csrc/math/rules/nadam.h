// Nadam: Dozat, Incorporating Nesterov Momentum into Adam, 2016, with its schedule of momenta.
//   m, v as Adam;  u(t) = b1 (1 - 0.96^(t psi) / 2);  U(t) = u(1) u(2) ... u(t)
//   p -= lr (u(t+1) / (1 - U(t+1)) m + (1 - u(t)) / (1 - U(t)) g) / (sqrt(v / (1 - b2^t)) + eps)
// keras and torch: the same with their own psi, the option momentum_decay.
#pragma once

#include "../power.h"
#include "moments.h"

namespace onepass::math {
namespace {

// log(u(1) ... u(t)) without remembering a product. With q = 0.96^psi, log(1 - q^i / 2) is
// - sum over k of (q^i / 2)^k / k, and the sum over i of each term is a geometric one.
ONEPASS_HD double log_momentum_product(double beta_1, double psi, int64_t t) {
  constexpr int kTerms = 55;  // 2^-55 is below a double's rounding
  const double n = static_cast<double>(t), log_q = psi * log(0.96);
  double sum = 0.0, half = 1.0;
  for (int k = 1; k <= kTerms; ++k) {
    const double log_qk = k * log_q, rest = expm1(log_qk);
    half *= 0.5;
    const double steps = rest == 0.0 ? n : expm1(n * log_qk) / rest;
    sum += half / k * exp(log_qk) * steps;
  }
  return n * log(beta_1) - sum;
}

struct Nadam {
  static constexpr const char* kName = "nadam";
  static constexpr int kStates = 2;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 5;
  static constexpr const char* kOptions[] = {"beta_1", "beta_2", "epsilon", "epsilon_inside_sqrt",
                                             "momentum_decay"};
  static constexpr int kHyperCount = 8;
  static constexpr const char* kHyper[] = {"momentum_step",    "gradient_step", "beta_1",
                                           "one_minus_beta_1", "beta_2",        "one_minus_beta_2",
                                           "inside",           "outside"};
  template <class T>
  struct Hyper {
    T momentum_step, gradient_step, beta_1, one_minus_beta_1, beta_2, one_minus_beta_2, inside,
        outside;
  };

  ONEPASS_HD static void prepare(const double* options, Convention, StepTime at, double* scalars) {
    const double beta_1 = options[0], beta_2 = options[1], psi = options[4];
    const auto momentum = [&](int64_t t) {
      return beta_1 * (1.0 - 0.5 * power_of_positive(0.96, static_cast<double>(t) * psi));
    };
    const auto one_minus_product = [&](int64_t t) {
      return -expm1(log_momentum_product(beta_1, psi, t));
    };
    const double correction = bias_correction(beta_2, at.t);
    const double step = at.learning_rate * math::sqrt(correction);
    const Epsilon epsilon = Epsilon::at(options[2], options[3] != 0.0, correction);
    scalars[0] = step * momentum(at.t + 1) / one_minus_product(at.t + 1);
    scalars[1] = step * (1.0 - momentum(at.t)) / one_minus_product(at.t);
    scalars[2] = beta_1;
    scalars[3] = 1.0 - beta_1;
    scalars[4] = beta_2;
    scalars[5] = 1.0 - beta_2;
    scalars[6] = epsilon.inside;
    scalars[7] = epsilon.outside;
  }
  static bool keeps_zero(const double* scalars) { return divides_zero(scalars[6], scalars[7]); }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& m, T& v) {
    m = running_mean(m, g, h.beta_1, h.one_minus_beta_1);
    v = running_mean(v, g * g, h.beta_2, h.one_minus_beta_2);
    p -= (h.momentum_step * m + h.gradient_step * g) / denominator(v, h.inside, h.outside);
  }
};

}  // namespace
}  // namespace onepass::math
