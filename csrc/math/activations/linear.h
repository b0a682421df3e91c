// linear(x) = x.
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

struct Linear : NoHyper {
  static constexpr const char* kName = "linear";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return x;
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T, const Hyper<T>&) {
    return T(1);
  }
};

}  // namespace
}  // namespace onepass::math
