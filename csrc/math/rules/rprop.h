// Rprop: Riedmiller and Braun, A Direct Adaptive Method for Faster Backpropagation Learning: The
// RPROP Algorithm, 1993, in the form without weight backtracking that torch has (iRprop-).
//   sign of g as before: s = s eta_plus; turned: s = s eta_minus and g = 0;  s in its limits
//   p -= sign(g) s;  before = g
// s starts at the learning rate, which then has no effect.
#pragma once

#include "rule.h"

namespace onepass::math {
namespace {

struct Rprop {
  static constexpr const char* kName = "rprop";
  static constexpr int kStates = 2;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 4;
  static constexpr const char* kOptions[] = {"eta_minus", "eta_plus", "smallest", "largest"};
  static constexpr int kHyperCount = 4;
  static constexpr const char* kHyper[] = {"eta_minus", "eta_plus", "smallest", "largest"};
  template <class T>
  struct Hyper {
    T eta_minus, eta_plus, smallest, largest;
  };

  ONEPASS_HD static void prepare(const double* options, Convention, StepTime, double* scalars) {
    for (int i = 0; i < kOptionCount; ++i) scalars[i] = options[i];
  }
  // The smallest step would become that of what has none.
  static bool keeps_zero(const double* scalars) { return scalars[2] == 0.0; }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& p, T& before, T& size) {
    const T turn = g * math::sign(before);  // of the sign: two small gradients would underflow
    const T not_same = turn < T(0) ? h.eta_minus : T(1);
    size = clamp(size * (turn > T(0) ? h.eta_plus : not_same), h.smallest, h.largest);
    before = turn < T(0) ? T(0) : g;
    p -= math::sign(before) * size;
  }
};

}  // namespace
}  // namespace onepass::math
