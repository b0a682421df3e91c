// Lamb: You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes, 2020,
// Algorithm 2, as Keras has it: Adam's step with epsilon outside the bias correction, as long as
// the parameters times lr.
//   u = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps);  p -= lr |p| / |u| u
// Where a norm is 0 the quotient is 1.
#pragma once

#include "adam.h"
#include "measured.h"

namespace onepass::math {
namespace {

struct Lamb : Adam {
  static constexpr const char* kName = "lamb";
  static constexpr bool kDecayApart = false;
  static constexpr int kOptionCount = 3;  // Adam's but the last

  ONEPASS_HD static void prepare(const double* options, Convention, StepTime at, double* scalars) {
    const double all[] = {options[0], options[1], options[2], 0.0};
    Adam::prepare(all, Convention::kTorch, at, scalars);
  }
  // `measured` lacks the bias corrections, which cancel out: they are in the step.
  static void scale(TensorNorms norms, StepTime at, double* scalars) {
    if (norms.positive()) scalars[0] = at.learning_rate * norms.p / norms.measured;
  }

  template <class T>
  ONEPASS_HD static T measured(const Hyper<T>& h, T g, T m, T v) {
    average(h, g, m, v);
    return m / denominator(v, h.inside, h.outside);
  }
};

}  // namespace
}  // namespace onepass::math
