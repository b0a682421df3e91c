// softplus(x) = log(1 + e^x); derivative sigmoid(x) = 1 - e^-y.
// Dugas et al., Incorporating Second-Order Functional Knowledge for Better Option Pricing, 2001.
// log_sigmoid(x) = -softplus(-x); derivative sigmoid(-x) = 1 - e^y.
// squareplus(x) = (x + sqrt(x^2 + b)) / 2, b the smoothness; derivative y^2 / (y^2 + b/4).
// Barron, Squareplus: A Softplus-Like Algebraic Rectifier, 2021.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct Softplus : NoHyper {
  static constexpr const char* kName = "softplus";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return math::softplus(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return -expm1(-y);
  }
};

struct LogSigmoid : NoHyper {
  static constexpr const char* kName = "log_sigmoid";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return -math::softplus(-x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return -expm1(y);
  }
};

struct Squareplus {
  static constexpr const char* kName = "squareplus";
  static constexpr bool kNeedsInput = false;
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"smoothness"};
  template <class T>
  struct Hyper {
    T smoothness;
  };

  // Beyond it squares might overflow, and b no longer matters.
  template <class T>
  ONEPASS_HD static T far() {
    return static_cast<T>(sizeof(T) == sizeof(float) ? 0x1p60 : 0x1p500);
  }

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>& h) {
    const T t = abs(x);
    const T root = t > far<T>() ? t : math::sqrt(t * t + h.smoothness);
    const T above = T(0.5) * t + T(0.5) * root;
    // Below 0 the difference of the two would cancel.
    return x < T(0) ? T(0.25) * h.smoothness / above : above;
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>& h) {
    const T near = y > far<T>() ? far<T>() : y;
    const T square = near * near;
    // The smallest number because b and y may both be 0.
    return square / (square + (T(0.25) * h.smoothness + Traits<T>::kMinNormal));
  }
};

}  // namespace
}  // namespace onepass::math
