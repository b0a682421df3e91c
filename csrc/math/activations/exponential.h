// exponential(x) = e^x; derivative y.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct Exponential : NoHyper {
  static constexpr const char* kName = "exponential";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return exp(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return y;
  }
};

}  // namespace
}  // namespace onepass::math
