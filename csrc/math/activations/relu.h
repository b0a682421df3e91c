// relu(x) = max(x, 0); derivative 0 at x = 0. NaN stays NaN.
// Nair and Hinton, Rectified Linear Units Improve Restricted Boltzmann Machines, 2010.
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

struct Relu : NoHyper {
  static constexpr const char* kName = "relu";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return x < T(0) ? T(0) : x;  // in this order, so that NaN passes
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return y <= T(0) ? T(0) : T(1);
  }
};

}  // namespace
}  // namespace onepass::math
