// Sums over the rows of matrices, column by column, as the CPU's column_groups.h has them: here a
// member of a team is a block, whose warps share the groups of rows of 32 columns. A column's sum
// is added up in the same order, so the bits are the same.
#pragma once

#include "../loops/column_views.h"
#include "../math/functions.h"
#include "lanes.h"

namespace onepass::cuda {
namespace {

constexpr int kBlockColumns = 32, kBlockGroups = 8;  // threadIdx.x and .y
constexpr int kMostSums = 2;
constexpr int kColumnAreas = 6;  // rows of a block's work area

template <class T>
constexpr int64_t kColumnGrain = kBlockColumns;

// The blocks of one launch.
struct ColumnTeam {
  int rank, size;
  void* scratch;

  __device__ __forceinline__ Range share(int64_t n, int64_t grain) const {
    return share_of_team(n, grain, rank, size);
  }
};

template <class F>
__device__ __forceinline__ void each_column(int64_t begin, int64_t end, F&& f) {
  if (threadIdx.y == 0) {
    for (int64_t c = begin + threadIdx.x; c < end; c += kBlockColumns) f(c);
  }
  __syncthreads();
}

// This thread's column of a block's.
template <class T>
struct OneColumn {
  int64_t column;

  __device__ __forceinline__ T load(const T* row) const { return row[column]; }
  __device__ __forceinline__ void store(T* row, T v) const { row[column] = v; }
  static __device__ __forceinline__ T all(T value) { return value; }
};

struct RowGroup {
  int64_t first, n;
  __device__ __forceinline__ int64_t count() const { return n; }
};

__device__ __forceinline__ RowGroup group_from(int64_t first, int64_t end) {
  return {first, end - first < kGroupRows ? end - first : kGroupRows};
}

// Calls f(column, group of rows) for all of a matrix of at most kBlockColumns columns.
template <class T, class F>
__device__ __forceinline__ void for_groups(Range rows, int64_t cols, F&& f) {
  if (threadIdx.x < cols) {
    const OneColumn<T> at{static_cast<int64_t>(threadIdx.x)};
    const int64_t step = kBlockGroups * kGroupRows;
    for (int64_t r = rows.begin + threadIdx.y * kGroupRows; r < rows.end; r += step) {
      f(at, group_from(r, rows.end));
    }
  }
  __syncthreads();
}

// sums[s].total[c] = the sum over all rows of what term(column)(row, into) adds to into[s].
template <class T, int kSums, class F>
__device__ __forceinline__ void sum_rows(int64_t rows, int64_t cols,
                                         const ColumnSum<T> (&sums)[kSums], F&& term) {
  static_assert(kSums <= kMostSums);
  ONEPASS_SHARED(T, of_groups, [kMostSums][kBlockGroups][kBlockColumns]);
  const OneColumn<T> at{static_cast<int64_t>(threadIdx.x)};
  const bool counts = threadIdx.x < cols;
  T total[kSums] = {};
  for (int64_t first = 0; first < rows; first += kSumRows) {
    const int64_t end = rows - first < kSumRows ? rows : first + kSumRows;
    T part[kSums] = {};
    for (int64_t r = first; r < end; r += kBlockGroups * kGroupRows) {
      const int64_t own = r + threadIdx.y * kGroupRows;
      if (counts && own < end) {
        const RowGroup group = group_from(own, end);
        T into[kSums] = {};
        const auto add = term(at);
        for (int64_t i = 0; i < group.count(); ++i) add(group.first + i, into);
        for (int s = 0; s < kSums; ++s) of_groups[s][threadIdx.y][threadIdx.x] = into[s];
      }
      __syncthreads();
      if (counts && threadIdx.y == 0) {
        for (int g = 0; g < kBlockGroups && r + g * kGroupRows < end; ++g) {
          for (int s = 0; s < kSums; ++s) part[s] += of_groups[s][g][threadIdx.x];
        }
      }
      __syncthreads();
    }
    for (int s = 0; s < kSums; ++s) total[s] += part[s];
  }
  if (counts && threadIdx.y == 0) {
    for (int s = 0; s < kSums; ++s) sums[s].total[threadIdx.x] = total[s];
  }
  __syncthreads();
}

// The activation behind.
template <class T>
__device__ __forceinline__ void activate_columns(Matrix<T> z, Matrix<T> y,
                                                 const ActivationSpec& activation) {
  if (activation.id == 0) return;
  const Matrix<T> from = z ? z : y;
  math::Elementwise::visit(activation.id, [&](auto formula) {
    using F = decltype(formula);
    const auto h = math::hyper_from<F, T>(activation.hyper);
    for_groups<T>({0, y.rows}, y.cols, [&](auto at, auto group) {
      for (int64_t i = 0; i < group.count(); ++i) {
        const int64_t r = group.first + i;
        at.store(y.row(r), F::value(at.load(from.row(r)), h));
      }
    });
  });
}

// Calls f(columns) for the columns of a block, whose work area has kColumnAreas rows of them.
template <class T, class F>
__device__ __forceinline__ void for_columns(int64_t cols, int, ColumnTeam& team, F&& f) {
  const Range share = team.share(cols, kBlockColumns);
  for (int64_t c = share.begin; c < share.end; c += kBlockColumns) {
    f(Range{c, share.end - c < kBlockColumns ? share.end : c + kBlockColumns});
    __syncthreads();
  }
}

}  // namespace
}  // namespace onepass::cuda
