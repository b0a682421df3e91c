// Small inputs give 0; NaN stays NaN.
// hard_shrink(x) = x for |x| > threshold, 0 otherwise; derivative 0 where y is 0.
// soft_shrink(x) = x with |x| less by threshold, 0 where nothing is left; the same derivative.
// tanh_shrink(x) = x - tanh(x); derivative tanh(x)^2.
// threshold(x) = x for x > threshold, default_value otherwise.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct HardShrink {
  static constexpr const char* kName = "hard_shrink";
  static constexpr bool kNeedsInput = false;
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"threshold"};
  template <class T>
  struct Hyper {
    T threshold;
  };

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>& h) {
    return abs(x) <= h.threshold ? T(0) : x;
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return y == T(0) ? T(0) : T(1);
  }
};

struct SoftShrink {
  static constexpr const char* kName = "soft_shrink";
  static constexpr bool kNeedsInput = false;
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"threshold"};
  template <class T>
  struct Hyper {
    T threshold;
  };

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>& h) {
    const T rest = x - x;  // 0, or NaN for NaN
    const T above_low = x < -h.threshold ? x + h.threshold : rest;
    return x > h.threshold ? x - h.threshold : above_low;
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return y == T(0) ? T(0) : T(1);
  }
};

struct TanhShrink : NoHyper {
  static constexpr const char* kName = "tanh_shrink";
  static constexpr bool kNeedsInput = true;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return x - math::tanh(x);
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>&) {
    const T t = math::tanh(x);
    return t * t;
  }
};

struct Threshold {
  static constexpr const char* kName = "threshold";
  static constexpr bool kNeedsInput = true;
  static constexpr int kHyperCount = 2;
  static constexpr const char* kHyper[] = {"threshold", "default_value"};
  template <class T>
  struct Hyper {
    T threshold, default_value;
  };

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>& h) {
    return x <= h.threshold ? h.default_value : x;
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>& h) {
    return x <= h.threshold ? T(0) : T(1);
  }
};

}  // namespace
}  // namespace onepass::math
