// categorical_hinge of a row: max(1 + m - y.p, 0) with m the largest (1 - y) p: for a one-hot y,
// how far the right class's score is from being 1 above all others and above 0. Elements that share
// the largest share its gradient too.
#pragma once

#include "row_summary.h"

namespace onepass::math {
namespace {

struct CategoricalHinge : NoHyper {
  static constexpr const char* kName = "categorical_hinge";
  static constexpr const char* kPrediction = "linear";
  static constexpr bool kPeak = true;
  static constexpr bool kTotals = false;

  template <class T>
  ONEPASS_HD static T value(const RowSummary<T>& row, const Hyper<T>&) {
    const T missing = T(1) + row.peak - row.yp;
    return missing < T(0) ? T(0) : missing;
  }
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const RowSummary<T>& row, const Hyper<T>& h) {
    const T missing = value(row, h);
    const T wrong = T(1) - y;
    const T slope = (wrong * p == row.peak ? wrong / row.peaks : T(0)) - y;
    return missing > T(0) ? slope : missing;
  }
};

}  // namespace
}  // namespace onepass::math
