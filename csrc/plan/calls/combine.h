// Calls that put tensors together.
#pragma once

#include "../program.h"

namespace onepass {

// A buffer as an operand that is spread over more rows or columns.
struct SpreadBuffer {
  BufferId id = kNone;
  int64_t repeat = 1;

  template <class T>
  Spread<T> in(const Frame& f) const {
    return {f.matrix<T>(id), repeat};
  }
};

template <class T>
struct CombineCall final : Call {
  int op;
  SpreadBuffer a, b;
  BufferId y;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().combine({op, a.in<const T>(f), b.in<const T>(f), f.matrix<T>(y)}, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct CombineBackwardCall final : Call {
  int op;
  bool of_second;
  SpreadBuffer a, b, dx;
  BufferId dy;
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().combine_backward({op, of_second, a.in<const T>(f), b.in<const T>(f),
                                        f.matrix<const T>(dy), dx.in<T>(f), accumulate},
                                       team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

// Columns x_first and on of x to columns y_first to y_first + cols of y; one column of x may stand
// for all.
template <class T>
struct ScaledCopyCall final : Call {
  SpreadBuffer x;
  BufferId y;
  int64_t x_first, x_cols, y_first, y_cols;
  double scale;
  bool mean;  // the scale is divided by the number of rows
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    Spread<const T> from = x.in<const T>(f);
    if (from.matrix) from.matrix.data += x_first, from.matrix.cols = x_cols;
    Matrix<T> to = f.matrix<T>(y);
    to.data += y_first, to.cols = y_cols;
    const double factor = mean ? scale / static_cast<double>(to.rows) : scale;
    f.kernels.of<T>().scaled_copy({from, to, factor, accumulate}, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct ScaledSumCall final : Call {
  BufferId x;
  SpreadBuffer y;
  double scale;
  bool accumulate;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().scaled_sum({f.matrix<const T>(x), y.in<T>(f), scale, accumulate}, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct EmbeddingCall final : Call {
  BufferId index, table, y;
  double work_per_sample;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().embedding(
        {f.matrix<const T>(index), f.matrix<const T>(table), f.matrix<T>(y)}, team);
  }
  double work(int64_t rows) const override { return static_cast<double>(rows) * work_per_sample; }
};

template <class T>
struct EmbeddingBackwardCall final : Call {
  BufferId index, dy, dtable;
  bool accumulate;
  double work_per_sample, work_of_table;

  void run(const Frame& f, Team& team) const override {
    f.kernels.of<T>().embedding_backward(
        {f.matrix<const T>(index), f.matrix<const T>(dy), f.matrix<T>(dtable), accumulate}, team);
  }
  double work(int64_t rows) const override {
    return static_cast<double>(rows) * work_per_sample + work_of_table;
  }
};

}  // namespace onepass
