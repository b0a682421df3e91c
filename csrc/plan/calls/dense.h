// The products of dense layers.
#pragma once

#include "../program.h"

namespace onepass {

template <class T>
struct DenseForwardCall final : Call {
  BufferId x, w, b, z, y, partial;
  ActivationSpec activation;
  double dropout_rate;
  uint32_t dropout_key[2];
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    const DropoutEnd dropout{dropout_rate,
                             {{dropout_key[0], dropout_key[1]}, f.replay.draw},
                             f.first(),
                             f.buffers[y].rows_per_sample};
    f.kernels.of<T>().dense_forward(
        {f.matrix<const T>(x), f.matrix<const T>(w), f.data<const T>(b), f.matrix<T>(z),
         f.matrix<T>(y), activation, f.matrix<T>(partial), dropout},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct DenseBackwardInputCall final : Call {
  BufferId dz, w, z, y, dx;
  ActivationSpec activation;
  bool accumulate;
  double gain;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().dense_backward_input(
        {f.matrix<const T>(dz), f.matrix<const T>(w), f.matrix<const T>(z), f.matrix<const T>(y),
         f.matrix<T>(dx), activation, accumulate, gain},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct DenseBackwardWeightsCall final : Call {
  BufferId x, dz, dw, db;
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().dense_backward_weights(
        {f.matrix<const T>(x), f.matrix<const T>(dz), f.matrix<T>(dw), f.data<T>(db), accumulate},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

}  // namespace onepass
