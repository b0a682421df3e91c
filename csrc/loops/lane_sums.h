// Sums and maxima of rows, lane by lane. Included by each backend's lanes.h, at its end.
#pragma once

#include "extents.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
struct Lanes {
  Chunk<T> sum;

  ONEPASS_DEVICE Lanes() : sum(lanewise<T>([](int) { return T(0); })) {}

  // Adds what the row fills; +0 changes no lane, as none is -0.
  template <class Extent>
  ONEPASS_DEVICE void add(const Chunk<T>& c, Extent extent) {
    for_lanes<T>([&](int l) ONEPASS_FLAT { sum.at[l] += l < extent.n ? c.at[l] : T(0); });
  }
  ONEPASS_DEVICE T total() const {
    return join(sum, [](T a, T b) { return a + b; });
  }
};

// Of numbers: NaN is passed over. One instruction of every set.
template <class T>
ONEPASS_DEVICE T larger(T a, T b) {
  return a > b ? a : b;
}

// Largest number of a row, -inf where there is none.
template <class T>
ONEPASS_DEVICE T row_max(const T* x, int64_t size) {
  constexpr T kLeast = -static_cast<T>(__builtin_inf());
  Chunk<T> max = lanewise<T>([](int) { return kLeast; });
  for_chunks(size, [&](int64_t at, auto extent) ONEPASS_FLAT {
    const Chunk<T> c = load(x + at, extent, kLeast);
    for_lanes<T>([&](int l) ONEPASS_FLAT { max.at[l] = larger(c.at[l], max.at[l]); });
  });
  return join(max, larger<T>);
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
