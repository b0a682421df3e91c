// Functions in straight pieces. At the ends of a piece the derivative is that of the flat side.
// hard_sigmoid(x) = min(max(x + 3, 0), 6) / 6; hard_silu(x) = x hard_sigmoid(x).
// Howard et al., Searching for MobileNetV3, 2019.
// hard_tanh(x) = min(max(x, -1), 1).
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

struct HardSigmoid : NoHyper {
  static constexpr const char* kName = "hard_sigmoid";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return clamp(x + T(3), T(0), T(6)) * T(1.0 / 6);
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return (y <= T(0)) | (y >= T(1)) ? T(0) : T(1.0 / 6);
  }
};

struct HardSilu : NoHyper {
  static constexpr const char* kName = "hard_silu";
  static constexpr bool kNeedsInput = true;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    const T near = x < T(-3) ? T(-3) : x;  // no infinity may meet the 0
    return near * HardSigmoid::value(near, HardSigmoid::Hyper<T>{});
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>&) {
    const T inside = x * T(1.0 / 3) + T(0.5);
    const T upper = x >= T(3) ? T(1) : inside;
    return x <= T(-3) ? T(0) : upper;
  }
};

struct HardTanh : NoHyper {
  static constexpr const char* kName = "hard_tanh";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return clamp(x, T(-1), T(1));
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return abs(y) >= T(1) ? T(0) : T(1);
  }
};

}  // namespace
}  // namespace onepass::math
