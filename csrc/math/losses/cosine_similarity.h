// cosine_similarity of a row: -y.p / (|y| |p|), where 1 / |x| is at most 1e7, as in Keras.
#pragma once

#include "row_summary.h"

namespace onepass::math {
namespace {

struct CosineSimilarity : NoHyper {
  static constexpr const char* kName = "cosine_similarity";
  static constexpr const char* kPrediction = "linear";
  static constexpr bool kPeak = false;
  static constexpr bool kTotals = false;

  template <class T>
  ONEPASS_HD static T inverse_norm(T squares) {
    const T inverse = T(1) / math::sqrt(squares);
    return inverse > T(1e7) ? T(1e7) : inverse;
  }
  template <class T>
  ONEPASS_HD static T value(const RowSummary<T>& row, const Hyper<T>&) {
    return -(row.yp * inverse_norm(row.yy) * inverse_norm(row.pp));
  }
  // Where the limit acts the prediction's length is a constant.
  template <class T>
  ONEPASS_HD static T gradient(T y, T p, const RowSummary<T>& row, const Hyper<T>&) {
    const T scale = inverse_norm(row.pp);
    const T along = scale < T(1e7) ? row.yp * scale * scale : T(0) * row.yp;
    return -(y - along * p) * (inverse_norm(row.yy) * scale);
  }
};

}  // namespace
}  // namespace onepass::math
