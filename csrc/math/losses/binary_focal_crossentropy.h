// binary_focal_crossentropy: mean over a row of w u^gamma c, where c is the binary cross-entropy of
// binary_crossentropy.h, u = t (1 - p) + (1 - t) p the probability given to the wrong class and
// w = t positive_weight + (1 - t) negative_weight; from probabilities p or logits z,
// p = sigmoid(z). Lin et al., Focal Loss for Dense Object Detection, 2017.
// label_smoothing s moves the target: t = y (1 - s) + s / 2.
#pragma once

#include "../elementary.h"
#include "../list.h"
#include "binary_crossentropy.h"

namespace onepass::math {
namespace {

struct BinaryFocalHyper {
  static constexpr bool kMean = true;
  static constexpr int kHyperCount = 4;
  static constexpr const char* kHyper[] = {"positive_weight", "negative_weight", "gamma",
                                           "label_smoothing"};
  template <class T>
  struct Hyper {
    T positive_weight, negative_weight, gamma, label_smoothing;
  };
  template <class T>
  ONEPASS_HD static T smooth(T y, const Hyper<T>& h) {
    return y * (T(1) - h.label_smoothing) + T(0.5) * h.label_smoothing;
  }
  template <class T>
  ONEPASS_HD static T weight(T t, const Hyper<T>& h) {
    return t * h.positive_weight + (T(1) - t) * h.negative_weight;
  }
  // The cross-entropy's own hyper-parameters: the target is smooth already.
  template <class T>
  ONEPASS_HD static BinaryCrossentropyHyper::Hyper<T> crossentropy() {
    return {T(0)};
  }
  // |u|^gamma: p beyond 1 makes u negative. log(0) is -inf, which gamma = 0 must not meet.
  template <class T>
  ONEPASS_HD static T focus(T u, const Hyper<T>& h) {
    const T power = math::exp(h.gamma * math::log(math::abs(u)));
    return (h.gamma == T(0)) & (u == u) ? T(1) : power;
  }
  // The slope of |u|^gamma as gamma |u|^gamma (u' / u): 0 for u = 0, where u^(gamma - 1) may be
  // infinite.
  template <class T>
  ONEPASS_HD static T relative(T slope, T u) {
    return u == T(0) ? T(0) : slope / u;
  }
};

struct BinaryFocalCrossentropy : BinaryFocalHyper {
  static constexpr const char* kName = "binary_focal_crossentropy";
  static constexpr const char* kPrediction = "probability";

  template <class T>
  ONEPASS_HD static T wrong(T t, T p) {
    return t * (T(1) - p) + (T(1) - t) * p;
  }
  template <class T>
  ONEPASS_HD static T value(T y, T p, const Hyper<T>& h) {
    const T t = smooth(y, h);
    const T cost = BinaryCrossentropy::value(t, p, crossentropy<T>());
    return weight(t, h) * focus(wrong(t, p), h) * cost;
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const Hyper<T>& h) {
    const T t = smooth(y, h);
    const T u = wrong(t, p);
    const T cost = BinaryCrossentropy::value(t, p, crossentropy<T>());
    const T slope = BinaryCrossentropy::gradient(t, p, crossentropy<T>());
    const T focusing = h.gamma * relative(T(1) - T(2) * t, u) * cost;
    return weight(t, h) * focus(u, h) * (focusing + slope);
  }
};

struct BinaryFocalCrossentropyFromLogits : BinaryFocalHyper {
  static constexpr const char* kName = "binary_focal_crossentropy_from_logits";
  static constexpr const char* kPrediction = "sigmoid";

  // 1 - p as sigmoid(-z): accurate where p is close to 1.
  template <class T>
  ONEPASS_HD static T wrong(T t, T z) {
    return t * math::sigmoid(-z) + (T(1) - t) * math::sigmoid(z);
  }
  // An infinite cost of what has no weight must not become 0 * inf.
  template <class T>
  ONEPASS_HD static T product(T factor, T cost) {
    return (factor == T(0)) & (cost == cost) ? T(0) : factor * cost;
  }
  template <class T>
  ONEPASS_HD static T value(T y, T z, const Hyper<T>& h) {
    const T t = smooth(y, h);
    const T cost = BinaryCrossentropyFromLogits::value(t, z, crossentropy<T>());
    return weight(t, h) * focus(wrong(t, z), h) * cost;
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T z, const Hyper<T>& h) {
    const T t = smooth(y, h);
    const T u = wrong(t, z), p = math::sigmoid(z);
    const T cost = BinaryCrossentropyFromLogits::value(t, z, crossentropy<T>());
    const T inside = (T(1) - T(2) * t) * p * math::sigmoid(-z);
    const T focusing = product(h.gamma * relative(inside, u), cost);
    return weight(t, h) * focus(u, h) * (focusing + (p - t));
  }
};

}  // namespace
}  // namespace onepass::math
