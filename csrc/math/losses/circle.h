// circle: with s the similarity of two rows and d = max(1 - s, 0) their distance, a pair of one
// label counts as exp(positive), one of two labels as exp(negative); a row's loss is
// softplus(log sum exp positive + log sum exp negative) over its pairs. The weights max(.., 0) have
// a slope too, as in Keras. Sun et al., Circle Loss: A Unified Perspective of Pair Similarity
// Optimization, 2020.
#pragma once

#include "../binary.h"
#include "../elementary.h"

namespace onepass::math {
namespace {

struct Circle {
  template <class T>
  struct Hyper {
    T gamma, margin;
  };

  template <class T>
  ONEPASS_HD static T distance(T s) {
    return math::max(T(1) - s, T(0));
  }
  template <class T>
  ONEPASS_HD static T distance_slope(T s) {
    return -share_of_larger(T(1) - s, T(0));
  }

  template <class T>
  ONEPASS_HD static T positive(T s, const Hyper<T>& h) {
    const T d = distance(s);
    return -h.gamma * math::max(h.margin + d, T(0)) * (h.margin - d);
  }
  template <class T>
  ONEPASS_HD static T positive_slope(T s, const Hyper<T>& h) {
    const T d = distance(s), weight = h.margin + d;
    const T change = share_of_larger(weight, T(0)) * (h.margin - d) - math::max(weight, T(0));
    return -h.gamma * change * distance_slope(s);
  }

  template <class T>
  ONEPASS_HD static T negative(T s, const Hyper<T>& h) {
    const T d = distance(s);
    return h.gamma * math::max(T(1) + h.margin - d, T(0)) * (T(1) - h.margin - d);
  }
  template <class T>
  ONEPASS_HD static T negative_slope(T s, const Hyper<T>& h) {
    const T d = distance(s), weight = T(1) + h.margin - d;
    const T change = share_of_larger(weight, T(0)) * (T(1) - h.margin - d);
    return -h.gamma * (change + math::max(weight, T(0))) * distance_slope(s);
  }
};

}  // namespace
}  // namespace onepass::math
