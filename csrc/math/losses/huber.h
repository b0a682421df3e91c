// Losses that are quadratic near 0 and linear far away, each a mean over a row; e = p - y:
//   huber: e^2 / 2 for |e| <= delta, delta |e| - delta^2 / 2 beyond. Huber, Robust Estimation of a
//   Location Parameter, 1964.
//   log_cosh: log(cosh(e)).
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct Huber {
  static constexpr const char* kName = "huber";
  static constexpr const char* kPrediction = "linear";
  static constexpr bool kMean = true;
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"delta"};
  template <class T>
  struct Hyper {
    T delta;
  };

  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>& h) {
    const T size = math::abs(p - y);
    const T linear = h.delta * (size - T(0.5) * h.delta);
    return size <= h.delta ? T(0.5) * size * size : linear;
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>& h) {
    return math::clamp(p - y, -h.delta, h.delta);
  }
};

struct LogCosh : NoHyper {
  static constexpr const char* kName = "log_cosh";
  static constexpr const char* kPrediction = "linear";
  static constexpr bool kMean = true;

  // With r = e^-|e| and m = 1 - r: cosh(e) = 1 + m^2 / (2 r), exact near 0 where |e| - log 2 + ...
  // would cancel, and log(cosh(e)) = |e| - log 2 + log1p(r^2), which cannot overflow.
  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>&) {
    const T size = math::abs(p - y);
    const T m = -math::expm1(-size);
    const T r = T(1) - m;
    const bool near = size < T(1);
    const T linear = near ? T(0) : size - T(0.6931471805599453);
    return linear + math::log1p_finite(near ? m * m / (T(2) * r) : r * r);
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>&) {
    return math::tanh(p - y);
  }
};

}  // namespace
}  // namespace onepass::math
