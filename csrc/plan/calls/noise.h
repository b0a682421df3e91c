// Noise of layers: drawn from the key, the replay's draw and the place in the epoch.
#pragma once

#include "../program.h"

namespace onepass {

template <class T>
struct DropoutCall final : Call {
  BufferId x, y;
  double rate;
  bool alpha, gradient;
  uint32_t key[2];
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().dropout({f.matrix<const T>(x),
                               f.matrix<T>(y),
                               rate,
                               alpha,
                               gradient,
                               {{key[0], key[1]}, f.replay.draw},
                               f.first(),
                               f.buffers[y].rows_per_sample,
                               accumulate},
                              team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct GaussianCall final : Call {
  BufferId x, y;
  double stddev;
  bool multiplies;
  uint32_t key[2];
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().gaussian({f.matrix<const T>(x),
                                f.matrix<T>(y),
                                stddev,
                                multiplies,
                                {{key[0], key[1]}, f.replay.draw},
                                f.first(),
                                f.buffers[y].rows_per_sample,
                                accumulate},
                               team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct RandomReluCall final : Call {
  BufferId x, value, y;
  double lower, upper;
  uint32_t key[2];
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().rrelu({f.matrix<const T>(x),
                             f.matrix<const T>(value),
                             f.matrix<T>(y),
                             lower,
                             upper,
                             {{key[0], key[1]}, f.replay.draw},
                             f.first(),
                             f.buffers[y].rows_per_sample,
                             accumulate},
                            team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

}  // namespace onepass
