// categorical_focal_crossentropy of one row: -sum_j w (1 - p_j)^gamma t_j log p_j, from logits z
// (p = softmax(z)) or from probabilities, scaled and clipped as in categorical_crossentropy.h.
// Lin et al., Focal Loss for Dense Object Detection, 2017.
#pragma once

#include "categorical_crossentropy.h"

namespace onepass::math {
namespace {

struct CategoricalFocalHyper {
  static constexpr bool kOfTarget = false;
  static constexpr int kHyperCount = 3;
  static constexpr const char* kHyper[] = {"class_weight", "gamma", "label_smoothing"};
  template <class T>
  struct Hyper {
    T class_weight, gamma, label_smoothing;
  };
  template <class T>
  ONEPASS_HD static T smooth(T y, T classes, const Hyper<T>& h) {
    return CategoricalCrossentropyHyper::smooth(
        y, classes, CategoricalCrossentropyHyper::Hyper<T>{h.label_smoothing});
  }
  // rest^gamma; log(0) is -inf, which gamma = 0 must not meet.
  template <class T>
  ONEPASS_HD static T focus(T rest, const Hyper<T>& h) {
    const T power = math::exp(h.gamma * math::log(rest));
    return (h.gamma == T(0)) & (rest == rest) ? T(1) : power;
  }
};

struct CategoricalFocalCrossentropyFromLogits : CategoricalFocalHyper {
  static constexpr const char* kName = "categorical_focal_crossentropy_from_logits";
  static constexpr const char* kPrediction = "softmax";
  static constexpr bool kFromLogits = true;
  static constexpr bool kPullIsTarget = false;

  // 1 - p, accurate where p is close to 1.
  template <class T>
  ONEPASS_HD static T rest(T log_p) {
    return -math::expm1(log_p);
  }
  // An impossible class with no weight costs nothing.
  template <class T>
  ONEPASS_HD static bool nothing(T t, T log_p) {
    return (t == T(0)) & (log_p == log_p);
  }
  template <class T>
  ONEPASS_HD static T term(T t, T log_p, const Hyper<T>& h) {
    const T cost = -t * h.class_weight * focus(rest(log_p), h) * log_p;
    return nothing(t, log_p) ? T(0) : cost;
  }
  // p log_p / (1 - p) goes to 0 with p, and to -1 where p goes to 1.
  template <class T>
  ONEPASS_HD static T pull(T t, T log_p, const Hyper<T>& h) {
    const T p = math::exp(log_p), other = rest(log_p);
    const T ratio = p == T(0) ? T(0) : other == T(0) ? T(-1) : p * log_p / other;
    const T slope = -t * h.class_weight * focus(other, h) * (T(1) - h.gamma * ratio);
    return nothing(t, log_p) ? T(0) : slope;
  }
};

struct CategoricalFocalCrossentropy : CategoricalFocalHyper {
  static constexpr const char* kName = "categorical_focal_crossentropy";
  static constexpr const char* kPrediction = "probability";
  static constexpr bool kFromLogits = false;

  // q = p / sum(p)
  template <class T>
  ONEPASS_HD static T term(T t, T q, const Hyper<T>& h) {
    const T c = CategoricalCrossentropy::clip(q);
    return -t * h.class_weight * focus(T(1) - c, h) * math::log(c);
  }
  // d/dq of the term: 0 where the clip acts
  template <class T>
  ONEPASS_HD static T slope(T t, T q, const Hyper<T>& h) {
    const T c = CategoricalCrossentropy::clip(q);
    const T inside = h.gamma * math::log(c) / (T(1) - c) - T(1) / c;
    return c == q || q != q ? t * h.class_weight * focus(T(1) - c, h) * inside : T(0);
  }
};

}  // namespace
}  // namespace onepass::math
