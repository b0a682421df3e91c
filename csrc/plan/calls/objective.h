// Losses, and the sums that means of row values are read from.
#pragma once

#include <cstring>

#include "../program.h"

namespace onepass {

// The gradient is that of factor * sum over rows of weight * value / rows, as Keras's
// "sum_over_batch_size".
template <class T>
struct LossCall final : Call {
  int id;
  double hyper[kMaxScalars];
  BufferId target, prediction, weights, values, gradient, probabilities;
  bool target_is_index;
  bool mean;  // over the rows; else the sum
  double factor;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    Loss<T> a{};
    a.id = id;
    std::memcpy(a.hyper, hyper, sizeof hyper);
    if (target_is_index) {
      a.target.index = f.data<const int32_t>(target);
    } else {
      a.target.dense = f.matrix<const T>(target);
    }
    a.prediction = f.matrix<const T>(prediction);
    a.weights = f.data<const T>(weights);
    a.values = f.data<T>(values);
    a.gradient = f.matrix<T>(gradient);
    a.probabilities = f.matrix<T>(probabilities);
    a.scale = mean ? factor / static_cast<double>(a.prediction.rows) : factor;
    f.kernels.of<T>().loss(a, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

// What the mean of row values over an epoch divides their weighted sum by.
enum class MeanOver : int {
  kWeights,   // the sum of the weights: metrics
  kRows,      // the number of rows, as Keras's losses do
  kBatchSum,  // nothing: the mean over batches, by their rows, of each batch's sum
};

// sums[at] += numerator, sums[at + 1] += denominator.
template <class T>
struct WeightedSumCall final : Call {
  BufferId values, weights;
  int at;
  MeanOver over;
  double factor;

  void run(const Frame& f, Team& team) const override {
    const int64_t rows = f.matrix<const T>(values).rows;
    const double n = static_cast<double>(rows);
    f.kernels.of<T>().weighted_sum(
        {f.data<const T>(values), f.data<const T>(weights), rows, f.replay.sums + at,
         over == MeanOver::kBatchSum ? factor * n : factor, over == MeanOver::kWeights ? -1.0 : n},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows); }
};

}  // namespace onepass
