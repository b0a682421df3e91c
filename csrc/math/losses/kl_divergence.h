// kl_divergence: sum over a row of t log(t / q), with target t and prediction q both clipped to
// [e, 1], e = 1e-7, as Keras does; the gradient is 0 where the clip acts on the prediction.
// Kullback and Leibler, On Information and Sufficiency, 1951.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct KLDivergence : NoHyper {
  static constexpr const char* kName = "kl_divergence";
  static constexpr const char* kPrediction = "probability";
  static constexpr bool kMean = false;

  template <class T>
  ONEPASS_HD static T clip(T x) {
    return math::clamp(x, T(1e-7), T(1));
  }
  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>&) {
    return clip(y) * math::log(clip(y) / clip(p));
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>&) {
    const T q = clip(p);
    const T slope = -clip(y) / q;
    return q == p || p != p ? slope : T(0);
  }
};

}  // namespace
}  // namespace onepass::math
