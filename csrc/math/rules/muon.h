// Muon: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024; step sizes by
// shape from Liu et al., Muon is Scalable for LLM Training, 2025, section 2.2. Of a matrix:
//   keras  m = mu m + g;            u = g + mu m;           x = u / (|u| + e)
//   torch  m = mu m + (1 - mu) g;   u = (1 - mu) g + mu m;  x = u / max(|u|, e)
//   without Nesterov's form u = m; |u| is the Frobenius norm
//   k times, with A = x x^T:  x = a x + (b A + c A A) x
//   p -= lr s x;  s = r sqrt(max(rows, cols)); without r: keras 1, torch sqrt(max(1, rows / cols))
// As a rule it is the part of single elements, and what it calls p becomes u: plan/muon_steps.h.
#pragma once

#include "rule.h"

namespace onepass::math {
namespace {

struct Muon {
  static constexpr const char* kName = "muon";
  static constexpr int kStates = 1;
  static constexpr bool kFewOperations = false;
  static constexpr int kOptionCount = 8;
  // A negative rms_rate is none.
  static constexpr const char* kOptions[] = {"momentum", "nesterov", "muon_a",   "muon_b",
                                             "muon_c",   "ns_steps", "rms_rate", "norm_epsilon"};
  static constexpr int kHyperCount = 4;
  static constexpr const char* kHyper[] = {"momentum", "gain", "gradient_part", "momentum_part"};
  template <class T>
  struct Hyper {
    T momentum, gain, gradient_part, momentum_part;
  };

  ONEPASS_HD static void prepare(const double* options, Convention convention, StepTime,
                                 double* scalars) {
    const bool nesterov = options[1] != 0.0;
    scalars[0] = options[0];
    scalars[1] = convention == Convention::kKeras ? 1.0 : 1.0 - options[0];
    scalars[2] = nesterov ? scalars[1] : 0.0;
    scalars[3] = nesterov ? options[0] : 1.0;
  }
  static bool keeps_zero(const double*) { return true; }

  template <class T>
  ONEPASS_HD static void apply(const Hyper<T>& h, T g, T& u, T& m) {
    m = h.momentum * m + h.gain * g;
    u = h.gradient_part * g + h.momentum_part * m;
  }

  // The numbers of the part that looks at whole matrices.
  struct Whole {
    double a, b, c;
    int steps;
    double rms_rate, epsilon;
    Convention convention;

    // What x is to u; NaN stays.
    double inverse(double norm) const {
      if (convention == Convention::kKeras) return 1.0 / (norm + epsilon);
      return 1.0 / (norm < epsilon ? epsilon : norm);
    }
    double size(double rows, double cols) const {
      if (rms_rate >= 0.0) return rms_rate * math::sqrt(rows > cols ? rows : cols);
      const bool grows = convention == Convention::kTorch && rows > cols;
      return grows ? math::sqrt(rows / cols) : 1.0;
    }
  };
  static Whole whole(const double* options, Convention convention) {
    return {options[2], options[3], options[4], static_cast<int>(options[5]),
            options[6], options[7], convention};
  }
};

}  // namespace
}  // namespace onepass::math
