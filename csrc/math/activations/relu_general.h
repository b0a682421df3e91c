// relu with all of Keras's arguments: x where it is above the threshold, 0 elsewhere, limited to
// [0, max_value] if max_value is finite, minus negative_slope times what is missing to the
// threshold. The formula of plain relu is Relu, without a threshold and maximum LeakyRelu.
// relu6(x) = min(max(x, 0), 6).
// Krizhevsky, Convolutional Deep Belief Networks on CIFAR-10, 2010.
#pragma once

#include "../list.h"

namespace onepass::math {
namespace {

struct ReluGeneral {
  static constexpr const char* kName = "relu_general";
  static constexpr bool kNeedsInput = true;
  static constexpr int kHyperCount = 3;
  static constexpr const char* kHyper[] = {"negative_slope", "max_value", "threshold"};
  template <class T>
  struct Hyper {
    T negative_slope, max_value, threshold;
  };

  // With a threshold below 0 and no maximum, Keras lets negative values pass.
  template <class T>
  ONEPASS_HD static T lowest(const Hyper<T>& h) {
    return h.max_value < infinity<T>() ? T(0) : -infinity<T>();
  }

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>& h) {
    const T kept = clamp(x <= h.threshold ? T(0) : x, lowest(h), h.max_value);
    const T missing = h.threshold - x;
    const bool damped = (missing > T(0)) & (h.negative_slope > T(0));  // 0 times infinity is not 0
    return kept - (damped ? h.negative_slope * missing : T(0));
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>& h) {
    const T low = lowest(h);
    const T limited = (x <= low) | (x > h.max_value) ? T(0) : T(1);
    return x <= h.threshold ? h.negative_slope : limited;
  }
};

struct Relu6 : NoHyper {
  static constexpr const char* kName = "relu6";
  static constexpr bool kNeedsInput = false;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    return clamp(x, T(0), T(6));
  }
  template <class T>
  ONEPASS_HD static T derivative(T, T y, const Hyper<T>&) {
    return (y <= T(0)) | (y >= T(6)) ? T(0) : T(1);
  }
};

}  // namespace
}  // namespace onepass::math
