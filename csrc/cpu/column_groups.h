// Sums over the rows of matrices, column by column, and passes with numbers that each column has.
// Eight rows at a time walk along the columns: what belongs to a column is read once for all eight.
#pragma once

#include "../loops/column_views.h"
#include "../loops/elementwise.h"
#include "blocks.h"

namespace onepass::ONEPASS_ISA {
namespace {

// A vector of columns from `first` on: all of its lanes, or some.
template <class T>
struct WholeVector {
  using V = typename Simd<T>::V;
  int64_t first;

  ONEPASS_INLINE V load(const T* row) const { return Simd<T>::load(row + first); }
  ONEPASS_INLINE void store(T* row, V v) const { Simd<T>::store(row + first, v); }
  static ONEPASS_INLINE V all(T value) { return Simd<T>::broadcast(value); }
};
template <class T>
struct PartVector {
  using V = typename Simd<T>::V;
  int64_t first;
  int n;

  ONEPASS_INLINE V load(const T* row) const { return Simd<T>::load(row + first, n); }
  ONEPASS_INLINE void store(T* row, V v) const { Simd<T>::store(row + first, v, n); }
  static ONEPASS_INLINE V all(T value) { return Simd<T>::broadcast(value); }
};

using ColumnTeam = Team;  // on a GPU its members are others than for rows

// Columns worth a member.
template <class T>
constexpr int64_t kColumnGrain = kLineBytes / sizeof(T);

// f(begin) to f(end - 1), columns that depend on nothing that another of them writes.
template <class F>
ONEPASS_INLINE void each_column(int64_t begin, int64_t end, F&& f) {
  ONEPASS_IVDEP
  for (int64_t c = begin; c < end; ++c) f(c);
}

struct WholeGroup {
  int64_t first;
  static constexpr int64_t count() { return kGroupRows; }
};
struct PartGroup {
  int64_t first, n;
  ONEPASS_INLINE int64_t count() const { return n; }
};

template <class T, class Group, class F>
ONEPASS_INLINE void walk_group(Group group, int64_t cols, F&& f) {
  constexpr int64_t width = Simd<T>::kWidth;
  int64_t c = 0;
  for (; c + width <= cols; c += width) f(WholeVector<T>{c}, group);
  if (c < cols) f(PartVector<T>{c, static_cast<int>(cols - c)}, group);
}

// Calls f(vector of columns, group of rows) for all of a matrix; f is inlined four times.
template <class T, class F>
ONEPASS_INLINE void for_groups(Range rows, int64_t cols, F&& f) {
  int64_t r = rows.begin;
  for (; r + kGroupRows <= rows.end; r += kGroupRows) walk_group<T>(WholeGroup{r}, cols, f);
  if (r < rows.end) walk_group<T>(PartGroup{r, rows.end - r}, cols, f);
}

// sums[s].total[c] = the sum over all rows of what term(vector)(row, into) adds to into[s].
template <class T, int kSums, class F>
ONEPASS_INLINE void sum_rows(int64_t rows, int64_t cols, const ColumnSum<T> (&sums)[kSums],
                             F&& term) {
  for (const auto& sum : sums) {
    for (int64_t c = 0; c < cols; ++c) sum.total[c] = T(0);
  }
  for (int64_t first = 0; first < rows; first += kSumRows) {
    for (const auto& sum : sums) {
      for (int64_t c = 0; c < cols; ++c) sum.part[c] = T(0);
    }
    const Range block{first, rows - first < kSumRows ? rows : first + kSumRows};
    for_groups<T>(block, cols, [&](auto at, auto group) __attribute__((always_inline)) {
      typename Simd<T>::V into[kSums] = {};
      const auto add = term(at);
      for (int64_t i = 0; i < group.count(); ++i) add(group.first + i, into);
      for (int s = 0; s < kSums; ++s) {
        at.store(sums[s].part, at.load(sums[s].part) + into[s]);
      }
    });
    for (const auto& sum : sums) {
      ONEPASS_IVDEP
      for (int64_t c = 0; c < cols; ++c) sum.total[c] += sum.part[c];
    }
  }
}

// The activation behind, while the values are in the member's cache.
template <class T>
void activate_columns(Matrix<T> z, Matrix<T> y, const ActivationSpec& activation) {
  if (activation.id == 0) return;
  Team alone{0, 1, nullptr, nullptr};
  const Matrix<T> from = z ? z : y;
  activation_forward<T>({{from.data, from.rows, from.cols, from.stride}, y, activation}, alone);
}

// Calls f(columns) for a member's columns, so few at a time that `rows` rows of them fit into its
// work area.
template <class T, class F>
void for_columns(int64_t cols, int rows, Team& team, F&& f) {
  constexpr int64_t line = kColumnGrain<T>;
  const Range share = team.share(cols, line);
  const int64_t most = kScratchBytes / static_cast<int64_t>(sizeof(T)) / rows / line * line;
  for (int64_t c = share.begin; c < share.end; c += most) {
    f(Range{c, share.end - c < most ? share.end : c + most});
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
