// tanh(x); derivative (1 - y)(1 + y), which keeps its digits near y = +-1.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct Tanh : NoHyper {
  static constexpr const char* kName = "tanh";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return math::tanh(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return (T(1) - y) * (T(1) + y);
  }
};

}  // namespace
}  // namespace onepass::math
