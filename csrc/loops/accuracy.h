// Accuracies: the share of right answers in each row.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// First place of the largest element, as NumPy's argmax: a NaN counts as largest.
template <class T>
ONEPASS_DEVICE int64_t argmax(const T* x, int64_t size) {
  constexpr T kLeast = -static_cast<T>(__builtin_inf());
  const T max = row_max(x, size);
  Chunk<int32_t> place = lanewise<int32_t>([](int) { return INT32_MAX; });
  Chunk<int32_t> odd = lanewise<int32_t>([](int) { return 0; });
  for_chunks(size, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> c = load(x + at, extent, kLeast);
    for_lanes<T>([&](int l) ONEPASS_FLAT {
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

// Of how many elements f is true.
template <class F>
ONEPASS_DEVICE int64_t count(int64_t size, F&& f) {
  const auto one = [&](int64_t i) ONEPASS_FLAT { return int64_t{f(i)}; };
  return fold_elements(size, int64_t{0}, one, [](int64_t a, int64_t b) { return a + b; });
}

// Whether fewer than k elements exceed the one at `place`, which never does where it is NaN.
template <class T>
ONEPASS_DEVICE bool among_largest(const T* x, int64_t size, int64_t place, int64_t k) {
  const T own = x[place] == x[place] ? x[place] : -math::infinity<T>();
  return count(size, [&](int64_t i) ONEPASS_FLAT { return x[i] > own; }) < k;
}

template <class T>
ONEPASS_LOOP void share_of_right_elements(const RowAccuracy<T>& a, Range rows) {
  const int64_t cols = a.prediction.cols;
  const T threshold = static_cast<T>(a.threshold);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const T* y = a.target.dense.row(r);
    const T* p = a.prediction.row(r);
    const auto right = [&](T guess, int64_t c) ONEPASS_FLAT { return y[c] == guess; };
    const int64_t n =
        a.kind == Accuracy::kBinary
            ? count(cols, [&](int64_t c)
                              ONEPASS_FLAT { return right(p[c] > threshold ? T(1) : T(0), c); })
            : count(cols, [&](int64_t c) ONEPASS_FLAT { return right(p[c], c); });
    if (leads()) a.values[r] = static_cast<T>(n) / static_cast<T>(cols);
  }
}

template <bool kTop, class T>
ONEPASS_LOOP void whether_right_class(const RowAccuracy<T>& a, Range rows) {
  const int64_t cols = a.prediction.cols;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const T* p = a.prediction.row(r);
    const int64_t truth = a.target.index != nullptr ? static_cast<int64_t>(a.target.index[r])
                                                    : argmax(a.target.dense.row(r), cols);
    const bool right = kTop ? among_largest(p, cols, truth, a.k) : argmax(p, cols) == truth;
    if (leads()) a.values[r] = right ? T(1) : T(0);
  }
}

template <class T>
ONEPASS_LOOP void row_accuracy(const RowAccuracy<T>& a, Team& team) {
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
