// softsign(x) = x / (1 + |x|); derivative (1 - |y|)^2.
// Turian, Bergstra and Bengio, Quadratic Features and Deep Architectures for Chunking, 2009.
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

struct Softsign : NoHyper {
  static constexpr const char* kName = "softsign";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    const T finite = clamp(x, -Traits<T>::kMax, Traits<T>::kMax);  // inf / inf is not 1
    return finite / (T(1) + abs(finite));
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    const T rest = T(1) - abs(y);
    return rest * rest;
  }
};

}  // namespace
}  // namespace onepass::math
