// leaky_relu(x) = x for x > 0, negative_slope * x otherwise; derivative negative_slope at x = 0.
// Maas, Hannun and Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models, 2013.
// The derivative follows from the sign of y, so negative_slope must not be negative.
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

struct LeakyRelu {
  static constexpr const char* kName = "leaky_relu";
  static constexpr bool kNeedsInput = false;
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"negative_slope"};
  template <class T>
  struct Hyper {
    T negative_slope;
  };

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>& h) {
    return x > T(0) ? x : h.negative_slope * x;
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>& h) {
    return y <= T(0) ? h.negative_slope : T(1);
  }
};

}  // namespace
}  // namespace onepass::math
