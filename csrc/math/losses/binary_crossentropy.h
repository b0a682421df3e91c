// binary_crossentropy: mean over a row of -(y log p + (1 - y) log(1 - p)), from probabilities
// (clipped to [e, 1 - e], e = 1e-7, as Keras does; the gradient is 0 where the clip acts) or from
// logits z, where p = sigmoid(z) and value and gradient need no clip.
// label_smoothing s moves the target: y (1 - s) + s / 2.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct BinaryCrossentropyHyper {
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"label_smoothing"};
  template <class T>
  struct Hyper {
    T label_smoothing;
  };
  template <class T>
  ONEPASS_HD static T smooth(T y, const Hyper<T>& h) {
    return y * (T(1) - h.label_smoothing) + T(0.5) * h.label_smoothing;
  }
};

struct BinaryCrossentropy : BinaryCrossentropyHyper {
  static constexpr const char* kName = "binary_crossentropy";
  static constexpr const char* kPrediction = "probability";
  static constexpr bool kMean = true;

  template <class T>
  ONEPASS_HD static T clip(T p) {
    const T e = T(1e-7);
    return p < e ? e : p > T(1) - e ? T(1) - e : p;
  }
  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>& h) {
    const T t = smooth(y, h);
    const T q = clip(p);
    return -(t * math::log(q) + (T(1) - t) * math::log(T(1) - q));
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>& h) {
    const T t = smooth(y, h);
    const T q = clip(p);
    const T slope = (q - t) / (q * (T(1) - q));
    return q == p || p != p ? slope : T(0);
  }
};

struct BinaryCrossentropyFromLogits : BinaryCrossentropyHyper {
  static constexpr const char* kName = "binary_crossentropy_from_logits";
  static constexpr const char* kPrediction = "sigmoid";
  static constexpr bool kMean = true;

  // max(z, 0) - z y + log(1 + exp(-|z|)), grouped so that an infinite z with the right label is 0:
  // the first two terms are (1 - y) z for z > 0 and -y z otherwise, and 0 * inf must not appear.
  template <class T>
  ONEPASS_HD static T value(T y, T z, const Hyper<T>& h) {
    const T t = smooth(y, h);
    const T magnitude = math::abs(z);
    const T wrong = z > T(0) ? T(1) - t : t;
    const T linear = wrong == T(0) && z == z ? T(0) : wrong * magnitude;
    return linear + math::log1p(math::exp(-magnitude));
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T z, const Hyper<T>& h) {
    return math::sigmoid(z) - smooth(y, h);
  }
};

}  // namespace
}  // namespace onepass::math
