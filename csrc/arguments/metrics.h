// Arguments of the kernels that count for metrics. Included by kernels.h, which has what they need.
#pragma once

namespace onepass {

// The weight of predictions by how many thresholds they exceed, apart for targets that are not 0
// and those that are: counts is [2][thresholds + 1], or one such block a column where `by_column`.
// What is above threshold i are then the buckets behind i.
template <class T>
struct ConfusionCounts {
  Matrix<const T> target, prediction;
  const T* weights;      // per row, or nullptr
  const T* thresholds;   // ascending; nullptr: evenly from 0 to 1, p > i / (n - 1) as p (n - 1) > i
  int64_t n_thresholds;  // at least 2 where they are even
  int64_t least;         // so many are exceeded by every number: they stand for less than 0
  int64_t top_k;         // only the k largest of a row exceed any; 0: all may
  Range columns;         // that count
  bool by_column;
  double* counts;  // added to
};

// Weighted sums over the rows of each column, in double: sums is [quantities][cols].
//   kHits: of the target where it is predicted; of 1 where it is predicted; of the target
//   kErrors: of the squared error; of the target; of its square; of 1; and the number of rows
enum class ColumnSumKind : int { kHits, kErrors };

template <class T>
struct ColumnSums {
  ColumnSumKind kind;
  bool largest;      // predicted is what a row has as its largest and is not 0; else
  double threshold;  // what exceeds this
  Matrix<const T> target, prediction;
  const T* weights;  // per row, or nullptr
  double* sums;      // added to
};

ONEPASS_INLINE int64_t quantities_of(ColumnSumKind kind) {
  return kind == ColumnSumKind::kHits ? 3 : 5;
}

}  // namespace onepass
