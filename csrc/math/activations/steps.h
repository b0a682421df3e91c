// heaviside(x) = 0 below 0, 1 from 0 on: the threshold unit of the perceptron.
// sign(x) = -1, 0 or 1.
// NaN stays NaN; both derivatives are 0 everywhere, so that nothing before them is trained.
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

struct Heaviside : NoHyper {
  static constexpr const char* kName = "heaviside";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    const T below = x < T(0) ? T(0) : x;
    return x >= T(0) ? T(1) : below;
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T, const Hyper<T>&) {
    return T(0);
  }
};

struct Sign : NoHyper {
  static constexpr const char* kName = "sign";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return math::sign(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T, const Hyper<T>&) {
    return T(0);
  }
};

}  // namespace
}  // namespace onepass::math
