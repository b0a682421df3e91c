// sparse_sigmoid(x) = (x + 1) / 2, from 0 to 1; derivative 1/2 in between.
// sparse_plus(x), its integral: 0 up to -1, (x + 1)^2 / 4, x from 1 on; derivative sqrt(y) up to 1.
// Blondel, Martins and Niculae, Learning with Fenchel-Young Losses, 2019.
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

struct SparseSigmoid : NoHyper {
  static constexpr const char* kName = "sparse_sigmoid";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return T(0.5) * clamp(x + T(1), T(0), T(2));
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return (y <= T(0)) | (y >= T(1)) ? T(0) : T(0.5);
  }
};

struct SparsePlus : NoHyper {
  static constexpr const char* kName = "sparse_plus";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    const T half = T(0.5) * (clamp(x, T(-1), T(1)) + T(1));  // clamped: its square stays finite
    return x >= T(1) ? x : half * half;
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return math::sqrt(clamp(y, T(0), T(1)));
  }
};

}  // namespace
}  // namespace onepass::math
