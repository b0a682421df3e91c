// Accuracies: the share of right answers in each row.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// First place of the largest element, as NumPy's argmax: a NaN counts as largest.
template <class T>
ONEPASS_INLINE int64_t argmax(const T* x, int64_t size) {
  constexpr T kLeast = -static_cast<T>(__builtin_inf());
  const T max = row_max(x, size);
  Chunk<int32_t> place = lanewise<int32_t>([](int) { return INT32_MAX; });
  Chunk<int32_t> odd = lanewise<int32_t>([](int) { return 0; });
  for_chunks(size, [&](int64_t at, auto extent) __attribute__((always_inline)) {
    const Chunk<T> c = load(x + at, extent, kLeast);
    for_lanes<T>([&](int l) __attribute__((always_inline)) {
      const int32_t here = c.at[l] == max ? static_cast<int32_t>(at) + l : INT32_MAX;
      place.at[l] = here < place.at[l] ? here : place.at[l];
      odd.at[l] |= c.at[l] != c.at[l] ? 1 : 0;
    });
  });
  if (join(odd, [](int32_t a, int32_t b) { return a | b; }) == 0) {
    return join(place, [](int32_t a, int32_t b) { return a < b ? a : b; });
  }
  int64_t i = 0;
  while (x[i] == x[i]) ++i;
  return i;
}

// Whether fewer than k elements exceed the one at `place`, which never does where it is NaN.
template <class T>
ONEPASS_INLINE bool among_largest(const T* x, int64_t size, int64_t place, int64_t k) {
  const T own = x[place] == x[place] ? x[place] : -math::infinity<T>();
  int64_t above = 0;
  for (int64_t i = 0; i < size; ++i) above += x[i] > own ? 1 : 0;
  return above < k;
}

template <class T>
void share_of_right_elements(const RowAccuracy<T>& a, Range rows) {
  const int64_t cols = a.prediction.cols;
  const T threshold = static_cast<T>(a.threshold);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const T* y = a.target.dense.row(r);
    const T* p = a.prediction.row(r);
    int64_t right = 0;
    if (a.kind == Accuracy::kBinary) {
      for (int64_t c = 0; c < cols; ++c) right += y[c] == (p[c] > threshold ? T(1) : T(0));
    } else {
      for (int64_t c = 0; c < cols; ++c) right += y[c] == p[c];
    }
    a.values[r] = static_cast<T>(right) / static_cast<T>(cols);
  }
}

template <bool kTop, class T>
void whether_right_class(const RowAccuracy<T>& a, Range rows) {
  const int64_t cols = a.prediction.cols;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const T* p = a.prediction.row(r);
    const int64_t truth = a.target.index != nullptr ? static_cast<int64_t>(a.target.index[r])
                                                    : argmax(a.target.dense.row(r), cols);
    const bool right = kTop ? among_largest(p, cols, truth, a.k) : argmax(p, cols) == truth;
    a.values[r] = right ? T(1) : T(0);
  }
}

template <class T>
void row_accuracy(const RowAccuracy<T>& a, Team& team) {
  const Range share = team.share(a.prediction.rows, 16);
  switch (a.kind) {
    case Accuracy::kBinary:
    case Accuracy::kEqual:
      return share_of_right_elements(a, share);
    case Accuracy::kCategorical:
    case Accuracy::kSparseCategorical:
      return whether_right_class<false>(a, share);
    case Accuracy::kTopKCategorical:
    case Accuracy::kSparseTopKCategorical:
      return whether_right_class<true>(a, share);
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
