// sigmoid(x) = 1 / (1 + exp(-x)); derivative y (1 - y).
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct Sigmoid : NoHyper {
  static constexpr const char* kName = "sigmoid";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return math::sigmoid(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return y * (T(1) - y);
  }
};

}  // namespace
}  // namespace onepass::math
