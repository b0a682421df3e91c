// Normalization by the batch and by rows.
#pragma once

#include "../program.h"

namespace onepass {

// By the batch's own statistics where no moving ones are named.
template <class T>
struct BatchNormCall final : Call {
  BufferId x, moving_mean, moving_variance, gamma, beta, z, y, statistics;
  double epsilon;
  ActivationSpec activation;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    const auto x_rows = f.matrix<const T>(x);
    const T *g = f.data<const T>(gamma), *b = f.data<const T>(beta);
    const auto z_rows = f.matrix<T>(z), y_rows = f.matrix<T>(y), kept = f.matrix<T>(statistics);
    if (moving_mean == kNone) {
      f.kernels.of<T>().batch_norm_forward(
          {x_rows, g, b, z_rows, y_rows, kept, epsilon, activation}, team);
    } else {
      f.kernels.of<T>().batch_norm_inference(
          {x_rows, f.data<const T>(moving_mean), f.data<const T>(moving_variance), g, b, z_rows,
           y_rows, kept, epsilon, activation},
          team);
    }
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct BatchNormBackwardCall final : Call {
  BufferId x, dy, statistics, gamma, dx, dgamma, dbeta;
  bool fixed, accumulate, accumulate_gamma, accumulate_beta;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().batch_norm_backward(
        {f.matrix<const T>(x), f.matrix<const T>(dy), f.matrix<const T>(statistics),
         f.data<const T>(gamma), f.matrix<T>(dx), f.data<T>(dgamma), f.data<T>(dbeta), fixed,
         accumulate, accumulate_gamma, accumulate_beta},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

// With the updates of parameters: a step that is interrupted leaves these as they are, too.
template <class T>
struct MovingStatisticsCall final : Call {
  BufferId statistics, mean, variance;
  double momentum;
  double columns_work;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().moving_statistics(
        {f.matrix<const T>(statistics), f.data<T>(mean), f.data<T>(variance), momentum}, team);
  }
  double work(int64_t) const override { return columns_work; }
  bool updates() const override { return true; }
};

template <class T>
struct RowNormCall final : Call {
  RowNormKind kind;
  BufferId x, gamma, beta, y, statistics;
  double epsilon;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().row_norm(
        {kind, f.matrix<const T>(x), f.data<const T>(gamma), f.data<const T>(beta), f.matrix<T>(y),
         f.matrix<T>(statistics), epsilon},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct RowNormBackwardCall final : Call {
  RowNormKind kind;
  BufferId x, dy, statistics, gamma, dx, dgamma, dbeta;
  bool accumulate, accumulate_gamma, accumulate_beta;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().row_norm_backward(
        {kind, f.matrix<const T>(x), f.matrix<const T>(dy), f.matrix<const T>(statistics),
         f.data<const T>(gamma), f.matrix<T>(dx), f.data<T>(dgamma), f.data<T>(dbeta), accumulate,
         accumulate_gamma, accumulate_beta},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

}  // namespace onepass
