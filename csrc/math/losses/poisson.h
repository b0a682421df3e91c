// Losses of predictions that are not negative, each a mean over a row; e = 1e-7, as Keras does:
//   poisson: p - y log(p + e), the negative logarithm of the likelihood of counts y, but for what
//   does not depend on p
//   mean_squared_logarithmic_error: (log(1 + max(p, e)) - log(1 + max(y, e)))^2; the gradient is 0
//   where the limit acts.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct Poisson : NoHyper {
  static constexpr const char* kName = "poisson";
  static constexpr const char* kPrediction = "positive";
  static constexpr bool kMean = true;

  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>&) {
    return p - y * math::log(p + T(1e-7));
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>&) {
    return T(1) - y / (p + T(1e-7));
  }
};

struct MeanSquaredLogarithmicError : NoHyper {
  static constexpr const char* kName = "mean_squared_logarithmic_error";
  static constexpr const char* kPrediction = "positive";
  static constexpr bool kMean = true;

  template <class T>
  ONEPASS_HD static T logarithm(T x) {
    const T e = T(1e-7);
    return math::log1p(x < e ? e : x);
  }
  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>&) {
    const T difference = logarithm(p) - logarithm(y);
    return difference * difference;
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>&) {
    const T slope = T(2) * (logarithm(p) - logarithm(y)) / (T(1) + p);
    return p < T(1e-7) ? T(0) : slope;
  }
};

}  // namespace
}  // namespace onepass::math
