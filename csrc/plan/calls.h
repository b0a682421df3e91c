// The calls a program is made of: each binds one kernel of the table to buffers.
#pragma once

#include <cstring>
#include <memory>

#include "../cpu/pool.h"
#include "optimizer.h"
#include "program.h"

namespace onepass {

// Fills rows of `out` from source number `source`, in the replay's order.
template <class T>
struct GatherCall final : Call {
  int source;
  BufferId out;
  int64_t sample_size;  // elements of one sample, over all its rows

  GatherCall(int source, BufferId out, int64_t sample_size)
      : source(source), out(out), sample_size(sample_size) {}
  void run(const Frame& f, Team& team) const override {
    const Source& s = f.replay.sources[source];
    const Matrix<T> to = f.matrix<T>(out);
    // A sample of several rows is gapless: one long row.
    const bool flat = to.rows != f.step.rows;
    const Matrix<T> rows{to.data, f.step.rows, sample_size, flat ? sample_size : to.stride};
    f.kernels.of<T>().gather_rows(
        {s.data, s.type, s.stride, f.replay.index, f.step.first, s.scale, rows}, team);
  }
  double work(int64_t rows) const override {
    return kElementWork * static_cast<double>(rows) * static_cast<double>(sample_size);
  }
};

// Class indices, which are few: copied by one member.
struct GatherIndexCall final : Call {
  int source;
  BufferId out;
  int64_t sample_size;

  GatherIndexCall(int source, BufferId out, int64_t sample_size)
      : source(source), out(out), sample_size(sample_size) {}
  void run(const Frame& f, Team& team) const override {
    if (team.rank != 0) return;
    const Source& s = f.replay.sources[source];
    int32_t* to = f.data<int32_t>(out);
    for (int64_t r = 0; r < f.step.rows; ++r) {
      const int64_t position = f.step.first + r;
      const int64_t row = f.replay.index != nullptr ? f.replay.index[position] : position;
      std::memcpy(to + r * sample_size, static_cast<const char*>(s.data) + row * s.stride,
                  sample_size * sizeof(int32_t));
    }
  }
  double work(int64_t rows) const override { return static_cast<double>(rows); }
};

// Copies a buffer's rows to the caller's array number `output`, at the step's position.
template <class T>
struct OutputCall final : Call {
  BufferId from;
  int output;
  int64_t rows_per_sample;

  OutputCall(BufferId from, int output, int64_t rows_per_sample)
      : from(from), output(output), rows_per_sample(rows_per_sample) {}
  void run(const Frame& f, Team& team) const override {
    const Matrix<T> rows = f.matrix<T>(from);
    const Output& to = f.replay.outputs[output];
    const Range share = team.share(rows.rows, 1);
    for (int64_t r = share.begin; r < share.end; ++r) {
      std::memcpy(to.data + (f.step.first * rows_per_sample + r) * to.stride, rows.row(r),
                  rows.cols * sizeof(T));
    }
  }
  double work(int64_t rows) const override { return static_cast<double>(rows); }
};

template <class T>
struct DenseForwardCall final : Call {
  BufferId x, w, b, z, y, partial;
  ActivationSpec activation;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().dense_forward(
        {f.matrix<const T>(x), f.matrix<const T>(w), f.data<const T>(b), f.matrix<T>(z),
         f.matrix<T>(y), activation, f.matrix<T>(partial)},
        team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct DenseBackwardInputCall final : Call {
  BufferId dz, w, z, y, dx;
  ActivationSpec activation;
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().dense_backward_input(
        {f.matrix<const T>(dz), f.matrix<const T>(w), f.matrix<const T>(z), f.matrix<const T>(y),
         f.matrix<T>(dx), activation, accumulate},
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
struct DropoutCall final : Call {
  BufferId x, y;
  double rate;
  uint32_t key[2];
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    const int64_t rows_per_sample = f.buffers[y].rows_per_sample;
    f.kernels.of<T>().dropout({f.matrix<const T>(x),
                               f.matrix<T>(y),
                               rate,
                               {{key[0], key[1]}, f.replay.draw},
                               f.step.first,
                               rows_per_sample,
                               accumulate},
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

template <class T>
struct RowAccuracyCall final : Call {
  Accuracy kind;
  double threshold;
  BufferId target, prediction, values;

  void run(const Frame& f, Team& team) const override {
    RowAccuracy<T> a{};
    a.kind = kind;
    a.threshold = threshold;
    if (kind == Accuracy::kSparseCategorical) {
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

// What the mean of row values over an epoch divides their weighted sum by.
enum class MeanOver : int {
  kWeights,   // the sum of the weights: metrics
  kRows,      // the number of rows, as Keras's losses do
  kBatchSum,  // nothing: the mean over batches, by their rows, of each batch's sum
};

// sums[2 * slot] += numerator, sums[2 * slot + 1] += denominator.
template <class T>
struct WeightedSumCall final : Call {
  BufferId values, weights;
  int slot;
  MeanOver over;
  double factor;

  void run(const Frame& f, Team& team) const override {
    if (team.rank != 0) return;
    const int64_t rows = f.matrix<const T>(values).rows;
    double batch[2] = {0.0, 0.0};
    f.kernels.of<T>().weighted_sum({f.data<const T>(values), f.data<const T>(weights), rows, batch},
                                   team);
    const double n = static_cast<double>(rows);
    double* sums = f.replay.sums + 2 * slot;
    sums[0] += factor * (over == MeanOver::kBatchSum ? batch[0] * n : batch[0]);
    sums[1] += over == MeanOver::kWeights ? batch[1] : n;
  }
  double work(int64_t rows) const override { return static_cast<double>(rows); }
};

// Weight gradient and update of a dense layer in one.
template <class T>
struct DenseUpdateCall final : Call {
  BufferId x, dz, dw, db;
  int64_t w_tensor, b_tensor;  // of the optimizer; b may be -1
  std::shared_ptr<Optimizer> optimizer;
  double work_per_sample, parameters;

  void run(const Frame& f, Team& team) const override {
    RuleNumbers& numbers = f.numbers;
    if (numbers.optimizer != optimizer.get() || numbers.t != f.step.t ||
        numbers.learning_rate != f.step.learning_rate) {
      optimizer->prepare(f.step.learning_rate, f.step.t, numbers.scalars);
      numbers.optimizer = optimizer.get();
      numbers.t = f.step.t;
      numbers.learning_rate = f.step.learning_rate;
    }
    const DenseBackwardWeights<T> gradient{f.matrix<const T>(x), f.matrix<const T>(dz),
                                           f.matrix<T>(dw), f.data<T>(db), false};
    optimizer->dense_step(gradient, w_tensor, b_tensor, f.step.learning_rate, f.numbers.scalars,
                          f.kernels, team);
  }
  double work(int64_t rows) const override {
    return static_cast<double>(rows) * work_per_sample + parameters;
  }
  bool updates() const override { return true; }
};

struct UpdateCall final : Call {
  std::shared_ptr<Optimizer> optimizer;

  explicit UpdateCall(std::shared_ptr<Optimizer> o) : optimizer(std::move(o)) {}
  void run(const Frame& f, Team& team) const override {
    optimizer->step(f.step.learning_rate, f.step.t, f.kernels, team);
  }
  double work(int64_t) const override {
    return kElementWork * static_cast<double>(optimizer->elements());
  }
  bool updates() const override { return true; }
};

}  // namespace onepass
