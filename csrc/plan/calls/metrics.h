// Calls that count for metrics, beside the sums of objective.h.
#pragma once

#include "../../memory.h"
#include "../program.h"

namespace onepass {

template <class T>
struct RowAccuracyCall final : Call {
  Accuracy kind;
  double threshold;
  int64_t k;
  BufferId target, prediction, values;

  void run(const Frame& f, Team& team) const override {
    RowAccuracy<T> a{};
    a.kind = kind;
    a.threshold = threshold, a.k = k;
    if (reads_index(kind)) {
      a.target.index = f.data<const int32_t>(target);
    } else {
      a.target.dense = f.matrix<const T>(target);
    }
    a.prediction = f.matrix<const T>(prediction);
    a.values = f.data<T>(values);
    f.kernels.of<T>().row_accuracy(a, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows); }
};

// Adds to the pass's sums from number `at` on.
template <class T>
struct ConfusionCountsCall final : Call {
  BufferId target, prediction, weights;
  ReachableVector<T> thresholds;  // none where they are even
  int64_t n_thresholds, least, top_k;
  Range columns;
  bool by_column;
  int at;
  double work_per_sample;

  explicit ConfusionCountsCall(const Device* device) : thresholds(Reachable<T>(device)) {}
  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().confusion_counts(
        {f.matrix<const T>(target), f.matrix<const T>(prediction), f.data<const T>(weights),
         thresholds.empty() ? nullptr : thresholds.data(), n_thresholds, least, top_k, columns,
         by_column, f.replay.sums + at},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

// Adds to the pass's sums from number `at` on.
template <class T>
struct ColumnSumsCall final : Call {
  ColumnSumKind kind;
  bool largest;
  double threshold;
  BufferId target, prediction, weights;
  int at;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().column_sums(
        {kind, largest, threshold, f.matrix<const T>(target), f.matrix<const T>(prediction),
         f.data<const T>(weights), f.replay.sums + at},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

}  // namespace onepass
