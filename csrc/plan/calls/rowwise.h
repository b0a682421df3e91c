// Calls of activations over rows beside softmax.
#pragma once

#include "../program.h"

namespace onepass {

template <class T>
struct RowForwardCall final : Call {
  void (*KernelTable<T>::*kernel)(const Softmax<T>&, Team&);
  BufferId x, y;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    (f.kernels.of<T>().*kernel)({f.matrix<const T>(x), f.matrix<T>(y)}, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct RowBackwardCall final : Call {
  void (*KernelTable<T>::*kernel)(const SoftmaxBackward<T>&, Team&);
  BufferId y, dy, dx;
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    (f.kernels.of<T>().*kernel)(
        {f.matrix<const T>(y), f.matrix<const T>(dy), f.matrix<T>(dx), accumulate}, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct GluCall final : Call {
  BufferId x, y;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().glu({f.matrix<const T>(x), f.matrix<T>(y)}, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct GluBackwardCall final : Call {
  BufferId x, dy, dx;
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().glu_backward(
        {f.matrix<const T>(x), f.matrix<const T>(dy), f.matrix<T>(dx), accumulate}, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

}  // namespace onepass
