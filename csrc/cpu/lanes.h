// Sums and maxima in kLanes fixed lanes joined by a fixed tree: the order of additions is the same
// for every instruction set, so these results are bitwise equal across them.
#pragma once

#include "../kernels.h"
#include "../math/elementary.h"

namespace onepass::ONEPASS_ISA {
namespace {

constexpr int kLanes = 16;

template <class T>
struct Lanes {
  alignas(64) T at[kLanes];

  ONEPASS_INLINE Lanes() {
    for (int l = 0; l < kLanes; ++l) at[l] = T(0);
  }
  // Adds the first n of a chunk.
  ONEPASS_INLINE void add(const T* chunk, int n) {
    if (n == kLanes) {
      for (int l = 0; l < kLanes; ++l) at[l] += chunk[l];
    } else {
      for (int l = 0; l < n; ++l) at[l] += chunk[l];
    }
  }
  ONEPASS_INLINE T total() const {
    T half[kLanes];
    for (int l = 0; l < kLanes; ++l) half[l] = at[l];
    for (int width = kLanes / 2; width > 0; width /= 2) {
      for (int l = 0; l < width; ++l) half[l] += half[l + width];
    }
    return half[0];
  }
};

// Calls f(offset, n, chunk) for each kLanes elements; the last chunk is a copy filled up with
// `fill`, so that a formula always runs over whole vectors.
template <class T, class F>
ONEPASS_INLINE void for_chunks(const T* x, int64_t size, T fill, F&& f) {
  int64_t at = 0;
  for (; at + kLanes <= size; at += kLanes) f(at, kLanes, x + at);
  if (at < size) {
    alignas(64) T rest[kLanes];
    const int n = static_cast<int>(size - at);
    for (int l = 0; l < kLanes; ++l) rest[l] = fill;
    for (int l = 0; l < n; ++l) rest[l] = x[at + l];
    f(at, n, rest);
  }
}

template <class T>
ONEPASS_INLINE void store_chunk(T* to, const T* chunk, int n) {
  if (n == kLanes) {
    for (int l = 0; l < kLanes; ++l) to[l] = chunk[l];
  } else {
    for (int l = 0; l < n; ++l) to[l] = chunk[l];
  }
}

// NaN wins. -inf for an empty row.
template <class T>
T lane_max(const T* x, int64_t size) {
  T max = -static_cast<T>(__builtin_inf());
  for (int64_t i = 0; i < size; ++i) max = x[i] > max || x[i] != x[i] ? x[i] : max;
  return max;
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
