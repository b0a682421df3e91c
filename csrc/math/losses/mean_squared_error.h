// mean_squared_error: mean over a row of (p - y)^2.
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

struct MeanSquaredError : NoHyper {
  static constexpr const char* kName = "mean_squared_error";
  static constexpr const char* kPrediction = "linear";
  static constexpr bool kMean = true;

  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>&) {
    return (p - y) * (p - y);
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>&) {
    return T(2) * (p - y);
  }
};

}  // namespace
}  // namespace onepass::math
