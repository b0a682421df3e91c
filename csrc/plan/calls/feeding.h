// Calls that move data in and out.
#pragma once

#include <cstring>

#include "../../cpu/pool.h"
#include "../../device.h"
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
        {s.data, s.type, s.stride, f.replay.index, f.first(), s.scale, rows}, team);
  }
  double work(int64_t rows) const override {
    return kElementWork * static_cast<double>(rows) * static_cast<double>(sample_size);
  }
};

// Class indices.
struct GatherIndexCall final : Call {
  int source;
  BufferId out;
  int64_t sample_size;

  GatherIndexCall(int source, BufferId out, int64_t sample_size)
      : source(source), out(out), sample_size(sample_size) {}
  void run(const Frame& f, Team& team) const override {
    const Source& s = f.replay.sources[source];
    f.kernels.f32.gather_indices({s.data, s.stride, f.replay.index, f.first(), f.data<int32_t>(out),
                                  f.step.rows, sample_size},
                                 team);
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
    const Output& output_rows = f.replay.outputs[output];
    const int64_t stride = output_rows.stride, bytes = rows.cols * int64_t{sizeof(T)};
    char* const to = output_rows.data + f.step.first * rows_per_sample * stride;
    if (team.device != nullptr) {
      const int64_t from_stride = rows.stride * int64_t{sizeof(T)};
      team.device->copy_rows(to, stride, rows.data, from_stride, bytes, rows.rows, team.stream);
      return;
    }
    const Range share = team.share(rows.rows, 1);
    for (int64_t r = share.begin; r < share.end; ++r) {
      std::memcpy(to + r * stride, rows.row(r), bytes);
    }
  }
  double work(int64_t rows) const override { return static_cast<double>(rows); }
  bool repeats() const override { return false; }
};

}  // namespace onepass
