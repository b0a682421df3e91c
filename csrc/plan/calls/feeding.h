// Calls that move data in and out.
#pragma once

#include <cstring>

#include "../../cpu/pool.h"
#include "../program.h"

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

}  // namespace onepass
