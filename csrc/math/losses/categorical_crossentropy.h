// categorical_crossentropy of one row: -sum_j t_j log p_j, from logits z (p = softmax(z)) or from
// probabilities (p_j / sum p, clipped to [e, 1 - e], e = 1e-7, as Keras does).
// The row sums are the kernel's; here stand the terms. `sparse` targets are one class index a row.
// label_smoothing s over c classes moves a dense target: y (1 - s) + s / c.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct CategoricalCrossentropyHyper {
  static constexpr bool kOfTarget = false;
  static constexpr int kHyperCount = 1;
  static constexpr const char* kHyper[] = {"label_smoothing"};
  template <class T>
  struct Hyper {
    T label_smoothing;
  };
  template <class T>
  ONEPASS_HD static T smooth(T y, T classes, const Hyper<T>& h) {
    return y * (T(1) - h.label_smoothing) + h.label_smoothing / classes;
  }
};

struct CategoricalCrossentropyFromLogits : CategoricalCrossentropyHyper {
  static constexpr const char* kName = "categorical_crossentropy_from_logits";
  static constexpr const char* kPrediction = "softmax";
  static constexpr bool kFromLogits = true;
  static constexpr bool kPullIsTarget = true;

  // log_p = z - max - log(sum exp(z - max)); an impossible class with no weight costs nothing.
  template <class T>
  ONEPASS_HD static T term(T t, T log_p, const Hyper<T>&) {
    return t == T(0) && log_p == log_p ? T(0) : -t * log_p;
  }
  // d/d log_p of the term; d/dz_j of the loss is pull_j - p_j sum_k pull_k
  template <class T>
  ONEPASS_HD static T pull(T t, T, const Hyper<T>&) {
    return -t;
  }
};

struct CategoricalCrossentropy : CategoricalCrossentropyHyper {
  static constexpr const char* kName = "categorical_crossentropy";
  static constexpr const char* kPrediction = "probability";
  static constexpr bool kFromLogits = false;

  template <class T>
  ONEPASS_HD static T clip(T q) {
    const T e = T(1e-7);
    return q < e ? e : q > T(1) - e ? T(1) - e : q;
  }
  // q = p / sum(p)
  template <class T>
  ONEPASS_HD static T term(T t, T q, const Hyper<T>&) {
    return -t * math::log(clip(q));
  }
  // d/dq of the term: 0 where the clip acts
  template <class T>
  ONEPASS_HD static T slope(T t, T q, const Hyper<T>&) {
    const T c = clip(q);
    return c == q || q != q ? -t / c : T(0);
  }
};

}  // namespace
}  // namespace onepass::math
