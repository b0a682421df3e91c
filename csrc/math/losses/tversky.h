// tversky: 1 - i / (i + missed (y - i) + false_alarms (p - i) + epsilon), where i is the sum of y p
// and y and p stand for their sums: over a row, or over a whole batch, whose rows then all have the
// value of the batch. With both weights 1/2 it is the Dice loss, with half of its epsilon. Salehi
// et al., Tversky Loss Function for Image Segmentation Using 3D Fully Convolutional Deep Networks,
// 2017.
#pragma once

#include "row_summary.h"

namespace onepass::math {
namespace {

struct Tversky {
  static constexpr const char* kName = "tversky";
  static constexpr const char* kPrediction = "probability";
  static constexpr bool kPeak = false;
  static constexpr bool kTotals = true;
  static constexpr int kHyperCount = 3;
  static constexpr const char* kHyper[] = {"missed", "false_alarms", "epsilon"};
  template <class T>
  struct Hyper {
    T missed, false_alarms, epsilon;
  };

  template <class T>
  ONEPASS_HD static T whole(const RowSummary<T>& all, const Hyper<T>& h) {
    const T wrong = h.missed * (all.y - all.yp) + h.false_alarms * (all.p - all.yp);
    return all.yp + wrong + h.epsilon;
  }
  template <class T>
  ONEPASS_HD static T value(const RowSummary<T>& all, const Hyper<T>& h) {
    return T(1) - all.yp / whole(all, h);
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T, const RowSummary<T>& all, const Hyper<T>& h) {
    const T size = whole(all, h);
    const T growth = y * (T(1) - h.missed - h.false_alarms) + h.false_alarms;
    return (all.yp / size * growth - y) / size;
  }
};

struct TverskyOfBatch : Tversky {
  static constexpr const char* kName = "tversky_of_batch";
};

}  // namespace
}  // namespace onepass::math
