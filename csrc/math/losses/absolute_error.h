// Losses of the distance from target to prediction, each a mean over a row:
//   mean_absolute_error: |p - y|
//   mean_absolute_percentage_error: 100 |p - y| / max(|y|, e), e = 1e-7, as Keras does
//   quantile: q (y - p) where p is too small, (1 - q) (p - y) where it is too large. Koenker and
//   Bassett, Regression Quantiles, 1978.
// The gradient is 0 where the prediction is the target.
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

struct MeanAbsoluteError : NoHyper {
  static constexpr const char* kName = "mean_absolute_error";
  static constexpr const char* kPrediction = "linear";
  static constexpr bool kMean = true;

  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>&) {
    return math::abs(p - y);
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>&) {
    return sign(p - y);
  }
};

struct MeanAbsolutePercentageError : NoHyper {
  static constexpr const char* kName = "mean_absolute_percentage_error";
  static constexpr const char* kPrediction = "linear";
  static constexpr bool kMean = true;

  template <class T>
  ONEPASS_HD static T whole(T y) {
    const T e = T(1e-7), size = math::abs(y);
    return size < e ? e : size;
  }
  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>&) {
    return T(100) * (math::abs(p - y) / whole(y));
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>&) {
    return sign(p - y) * (T(100) / whole(y));
  }
};

struct Quantile {
  static constexpr const char* kName = "quantile";
  static constexpr const char* kPrediction = "linear";
  static constexpr bool kMean = true;
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"quantile"};
  template <class T>
  struct Hyper {
    T quantile;
  };

  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>& h) {
    const T missing = y - p;
    return (missing > T(0) ? h.quantile : h.quantile - T(1)) * missing;
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>& h) {
    const T missing = y - p;
    return missing > T(0) ? -h.quantile : missing < T(0) ? T(1) - h.quantile : missing;
  }
};

}  // namespace
}  // namespace onepass::math
