// Penalties that are added to the loss, and constraints of parameters behind their update.
#pragma once

#include "../program.h"

namespace onepass {

// Of parameters, or of a batch of outputs: then of the mean over the samples.
template <class T>
struct PenaltyCall final : Call {
  BufferId x, values, gradient;
  double l1, l2;
  bool per_sample, accumulate;
  double fixed_work, work_per_sample;

  void run(const Frame& f, Team& team) const override {
    const double scale = per_sample ? 1.0 / static_cast<double>(f.step.rows) : 1.0;
    f.kernels.of<T>().penalty({f.matrix<const T>(x), l1, l2, f.data<double>(values),
                               f.matrix<T>(gradient), scale, accumulate},
                              team);
  }
  double work(int64_t rows) const override {
    return fixed_work + static_cast<double>(rows) * work_per_sample;
  }
};

// sums[at] += the step's penalty times its samples, sums[at + 1] += the samples: read as the mean
// over steps by their samples, which is how Keras reports a loss.
struct PenaltySumCall final : Call {
  BufferId values;
  int at;
  bool per_sample;

  void run(const Frame& f, Team& team) const override {
    const Matrix<const double> all = f.matrix<const double>(values);
    const double n = static_cast<double>(f.step.rows);
    f.kernels.f64.weighted_sum(
        {all.data, nullptr, all.rows * all.cols, f.replay.sums + at, per_sample ? 1.0 : n, n},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows); }
};

template <class T>
struct ConstrainCall final : Call {
  BufferId p;
  Constraint kind;
  double low, high, rate, epsilon;
  double parameters_work;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().constrain({f.matrix<T>(p), kind, low, high, rate, epsilon}, team);
  }
  double work(int64_t) const override { return parameters_work; }
  bool updates() const override { return true; }
};

}  // namespace onepass
