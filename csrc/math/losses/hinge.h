// Losses of the margin t p, each a mean over a row; labels are -1 and 1, and 0 counts as -1, so
// that 0 and 1 will do:
//   hinge: max(1 - t p, 0)
//   squared_hinge: max(1 - t p, 0)^2
//   perceptron: max(-t p, 0). Rosenblatt, The Perceptron, 1958. At t p = 0 the gradient is that of
//   a mistake: from weights of 0 there would be no first step otherwise.
// Keras looks at a whole batch and takes 0 as -1 where all labels are 0 or 1; one label at a time
// gives the same for every batch of only -1 and 1 or only 0 and 1, whatever it is split into.
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

struct MarginLoss : NoHyper {
  static constexpr const char* kPrediction = "margin";
  static constexpr bool kMean = true;

  template <class T>
  ONEPASS_HD static T label(T y) {
    return y == T(0) ? T(-1) : y;
  }
  // max(x, 0), which keeps NaN
  template <class T>
  ONEPASS_HD static T positive(T x) {
    return x < T(0) ? T(0) : x;
  }
};

struct Hinge : MarginLoss {
  static constexpr const char* kName = "hinge";

  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>&) {
    return positive(T(1) - label(y) * p);
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>&) {
    const T missing = positive(T(1) - label(y) * p);
    return missing > T(0) ? -label(y) : missing;
  }
};

struct SquaredHinge : MarginLoss {
  static constexpr const char* kName = "squared_hinge";

  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>&) {
    const T missing = positive(T(1) - label(y) * p);
    return missing * missing;
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>&) {
    return T(-2) * label(y) * positive(T(1) - label(y) * p);
  }
};

struct Perceptron : MarginLoss {
  static constexpr const char* kName = "perceptron";

  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>&) {
    return positive(-label(y) * p);
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>&) {
    const T margin = label(y) * p;
    const T slope = margin > T(0) ? T(0) : -label(y);
    return margin == margin ? slope : margin;
  }
};

}  // namespace
}  // namespace onepass::math
