// elu(x) = x for x > 0, alpha (e^x - 1) otherwise; derivative y + alpha there.
// Clevert, Unterthiner and Hochreiter, Fast and Accurate Deep Network Learning by Exponential
// Linear Units, 2016.
// selu(x) = scale elu(x) with the alpha and scale for which mean 0 and variance 1 stay as they are.
// Klambauer et al., Self-Normalizing Neural Networks, 2017.
// celu(x) = alpha elu(x / alpha) for x < 0, x otherwise: its derivative has no jump.
// Barron, Continuously Differentiable Exponential Linear Units, 2017.
// All derivatives come from y, whose sign must be that of x: alpha must be above 0.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct Elu {
  static constexpr const char* kName = "elu";
  static constexpr bool kNeedsInput = false;
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"alpha"};
  template <class T>
  struct Hyper {
    T alpha;
  };

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>& h) {
    return x > T(0) ? x : h.alpha * expm1(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>& h) {
    return y > T(0) ? T(1) : y + h.alpha;
  }
};

struct Selu : NoHyper {
  static constexpr const char* kName = "selu";
  static constexpr bool kNeedsInput = false;

  static constexpr double kScale = 1.0507009873554804934;
  static constexpr double kBelow = 1.7580993408473768600;  // scale times alpha

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return x > T(0) ? T(kScale) * x : T(kBelow) * expm1(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return y > T(0) ? T(kScale) : y + T(kBelow);
  }
};

struct Celu {
  static constexpr const char* kName = "celu";
  static constexpr bool kNeedsInput = false;
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"alpha"};
  template <class T>
  struct Hyper {
    T alpha;
  };

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>& h) {
    return x > T(0) ? x : h.alpha * expm1(x / h.alpha);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>& h) {
    return y > T(0) ? T(1) : y / h.alpha + T(1);
  }
};

}  // namespace
}  // namespace onepass::math
