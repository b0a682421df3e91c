// Adafactor: Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost,
// 2018, Algorithms 4 and 5. Of a matrix only means over rows (r) and columns (c) are kept:
//   rho = min(lr, 1 / sqrt(t));  b = 1 - t^decay;  alpha = max(eps2, rms(p)) rho
//   r = b r + (1 - b) mean over columns of (g^2 + e);  c likewise over rows;  v = r c / mean(r)
//   of a vector  v = b v + (1 - b) (g^2 + e);  u = g / sqrt(v)
//   p -= alpha u / max(1, rms(u) / d)
// keras  e = eps1;  torch  e = 0, mean(r) is at least eps1, v at least eps1^2, rms(p) is of p
// before its weight decay.
#pragma once

#include "rule.h"

namespace onepass::math {
namespace {

struct Adafactor {
  static constexpr const char* kName = "adafactor";
  static constexpr int kStates = 2;  // r and c, or v and nothing
  static constexpr int kOptionCount = 4;
  static constexpr const char* kOptions[] = {"beta_2_decay", "epsilon_1", "epsilon_2",
                                             "clip_threshold"};

  // The step's numbers. A negative epsilon_1 is the epsilon of the parameters' type.
  struct Step {
    double rho, keep, take, epsilon_1, epsilon_2, clip_threshold, torch;

    double added(double type_epsilon) const {  // to g^2
      return torch != 0.0 ? 0.0 : epsilon(type_epsilon);
    }
    double least_mean(double type_epsilon) const {
      return torch != 0.0 ? epsilon(type_epsilon) : 0.0;
    }
    // Of v. r c is zero where a row and a column of gradients were; then so is u.
    double least_variance(double type_epsilon, double smallest) const {
      const double bound = least_mean(type_epsilon) * least_mean(type_epsilon);
      return bound > smallest ? bound : smallest;
    }
    // Root mean squares over a tensor; NaN stays.
    double size(double rms_p, double rms_u) const {
      const double shorter = rms_u / clip_threshold;
      const double alpha = (rms_p < epsilon_2 ? epsilon_2 : rms_p) * rho;
      return alpha / (shorter < 1.0 ? 1.0 : shorter);
    }

   private:
    double epsilon(double type_epsilon) const { return epsilon_1 < 0.0 ? type_epsilon : epsilon_1; }
  };

  static void prepare(const double* options, Convention convention, StepTime at, double* scalars) {
    const double t = static_cast<double>(at.t), most = 1.0 / __builtin_sqrt(t);
    scalars[0] = at.learning_rate < most ? at.learning_rate : most;
    scalars[2] = __builtin_pow(t, options[0]);
    scalars[1] = 1.0 - scalars[2];
    for (int k = 1; k < kOptionCount; ++k) scalars[2 + k] = options[k];
    scalars[6] = convention == Convention::kTorch ? 1.0 : 0.0;
  }
  static Step step_of(const double* s) { return {s[0], s[1], s[2], s[3], s[4], s[5], s[6]}; }

  // v = row * column, or 1 * v; NaN stays.
  template <class T>
  ONEPASS_HD static T direction(T g, T row, T column, T least) {
    const T v = row * column;
    return g / math::sqrt(v < least ? least : v);
  }
};

}  // namespace
}  // namespace onepass::math
