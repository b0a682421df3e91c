// Calls that turn a matrix into one of the same shape.
#pragma once

#include "../program.h"

namespace onepass {

template <class T>
struct ActivationForwardCall final : Call {
  BufferId x, y;
  ActivationSpec activation;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().activation_forward({f.matrix<const T>(x), f.matrix<T>(y), activation}, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct ActivationBackwardCall final : Call {
  BufferId x, y, dy, dx;
  ActivationSpec activation;
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().activation_backward(
        {f.matrix<const T>(x), f.matrix<const T>(y), f.matrix<const T>(dy), f.matrix<T>(dx),
         activation, accumulate},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct SoftmaxCall final : Call {
  BufferId x, y;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().softmax({f.matrix<const T>(x), f.matrix<T>(y)}, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct SoftmaxBackwardCall final : Call {
  BufferId y, dy, dx;
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().softmax_backward(
        {f.matrix<const T>(y), f.matrix<const T>(dy), f.matrix<T>(dx), accumulate}, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

}  // namespace onepass
