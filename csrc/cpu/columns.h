// Walks down the columns of matrices, several vectors of them side by side.
#pragma once

#include "../kernels.h"
#include "simd.h"

namespace onepass::ONEPASS_ISA {
namespace {

// kCount vectors of columns from `first` on; the last one has `tail` columns.
template <class T, int kCount>
struct Columns {
  using S = Simd<T>;
  using V = typename S::V;
  static constexpr int kVectors = kCount, kWidth = S::kWidth;

  int64_t first;
  int tail;

  ONEPASS_INLINE V load(const T* row, int v) const {
    const T* at = row + first + v * kWidth;
    return v == kVectors - 1 ? S::load(at, tail) : S::load(at);
  }
  // `otherwise` in all columns where there is no row.
  ONEPASS_INLINE V load(const T* row, int v, T otherwise) const {
    return row == nullptr ? S::broadcast(otherwise) : load(row, v);
  }
  ONEPASS_INLINE void store(T* row, int v, V values) const {
    T* at = row + first + v * kWidth;
    v == kVectors - 1 ? S::store(at, values, tail) : S::store(at, values);
  }
  // row = values, or row += values
  ONEPASS_INLINE void put(T* row, int v, V values, bool accumulate) const {
    store(row, v, accumulate ? load(row, v) + values : values);
  }
};

// Calls f(Columns) for all columns; the number of vectors is found from the widest down.
template <class T, int kCount = 4, class F>
void for_columns(Range cols, F&& f) {
  constexpr int64_t width = Simd<T>::kWidth, wide = kCount * width;
  int64_t c = cols.begin;
  for (; cols.end - c > wide - width; c += wide) {
    const int64_t tail = cols.end - c - (wide - width);
    f(Columns<T, kCount>{c, static_cast<int>(tail < width ? tail : width)});
  }
  if constexpr (kCount > 1) for_columns<T, kCount - 1>({c, cols.end}, f);
}

// Rows that are added up one after another; sums of so many are then added up in turn, so that the
// last rows of a long matrix still count.
constexpr int64_t kRowBlock = 128;

template <class C, int kSums>
struct ColumnSums {
  typename C::V at[kSums][C::kVectors];
};

// sums.at[s][v] of what add(row, v, sums) adds to it, over all rows.
template <int kSums, class C, class F>
ONEPASS_INLINE ColumnSums<C, kSums> sum_rows(const C&, int64_t rows, F&& add) {
  ColumnSums<C, kSums> total{};
  for (int64_t first = 0; first < rows; first += kRowBlock) {
    ColumnSums<C, kSums> part{};
    const int64_t end = rows - first < kRowBlock ? rows : first + kRowBlock;
    for (int64_t r = first; r < end; ++r) {
      ONEPASS_UNROLL(4)
      for (int v = 0; v < C::kVectors; ++v) add(r, v, part);
    }
    for (int s = 0; s < kSums; ++s) {
      for (int v = 0; v < C::kVectors; ++v) total.at[s][v] = total.at[s][v] + part.at[s][v];
    }
  }
  return total;
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
