// Adafactor: the bits of the CPU's factored.h. A block takes lines, or a warp the columns of a
// matrix: each line and each column is one sum in a fixed order.
#pragma once

#include "../loops/factors.h"
#include "reduce.h"
#include "teams.h"

namespace onepass::cuda {
namespace {

constexpr int64_t kMostLineBlocks = 2048;  // each begins with the mean of its first line's matrix
constexpr int kColumnThreads = 32;         // few, so that all of the GPU has columns
constexpr int64_t kMostMatrixBlocks = 1024;

// A step as kernels see it: a.beside is left to the copy.
template <class T>
struct FactorStep {
  Factored<T> a;
  AroundOf<T> around;
  Beside<T> beside;
  int64_t lines_a_block = 1;

  explicit FactorStep(const Factored<T>& f)
      : a(f), around(AroundOf<T>::of(f.around)), beside(value_or_none(f.beside)) {}

  __device__ __forceinline__ T gradient(int64_t i) const {
    return around.clipped(gradient_at(a.segment.g, beside, a.beyond.adds, i));
  }
  __device__ __forceinline__ T least() const { return static_cast<T>(a.least_variance); }
};

// The lines of a block: neighbours, most of one matrix.
template <class T>
__device__ __forceinline__ Range lines_of_block(const FactorStep<T>& f) {
  const int64_t begin = blockIdx.x * f.lines_a_block, left = f.a.lines.count - begin;
  return {begin, begin + (left < f.lines_a_block ? left : f.lines_a_block)};
}

template <class T>
__global__ void __launch_bounds__(kBlockThreads) vector_moments(const FactorStep<T> f) {
  T* const v = f.a.segment.state[0];
  const int64_t step = int64_t{gridDim.x} * kBlockThreads;
  for (int64_t i = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x; i < f.a.segment.size;
       i += step) {
    v[i] = mixed(f.a, v[i], square(f.gradient(i)));
  }
}

template <class T>
__global__ void __launch_bounds__(kNormLanes) row_moments(const FactorStep<T> f) {
  for (int64_t line = blockIdx.x; line < f.a.lines.count; line += gridDim.x) {
    double sum = 0.0;
    each_piece(f.a, line, [&](int64_t at, int64_t n) {
      sum += squares_of<T>(n, [&](int64_t i) { return f.gradient(at + i); });
    });
    T& r = f.a.segment.state[0][line];
    if (threadIdx.x == 0) r = mixed(f.a, r, sum / static_cast<double>(f.a.lines.cols));
  }
}

template <class T>
__global__ void __launch_bounds__(kColumnThreads) column_moments(const FactorStep<T> f) {
  const Lines& lines = f.a.lines;
  const int64_t column = int64_t{blockIdx.x} * kColumnThreads + threadIdx.x;
  if (column >= lines.cols) return;
  for (int64_t m = blockIdx.y; m < lines.count / lines.rows; m += gridDim.y) {
    double sum = 0.0;
    ONEPASS_UNROLL(8)
    for (int64_t row = 0; row < lines.rows; ++row) {
      sum += square(f.gradient((m * lines.rows + row) * lines.stride + column));
    }
    T& c = f.a.segment.state[1][m * lines.cols + column];
    c = mixed(f.a, c, sum / static_cast<double>(lines.rows));
  }
}

template <class T>
void start_factor_moments(const Factored<T>& a, onepass::Team& team) {
  if (team.rank != 0 || a.lines.count == 0) return;
  const FactorStep<T> f(a);
  const auto most = [](int64_t n, int64_t limit) { return n < limit ? n : limit; };
  if (a.lines.rows == 0) {
    const auto blocks =
        blocks_for(most(a.segment.size, kMostMembers * kBlockThreads), kBlockThreads);
    return launch(vector_moments<T>, {blocks}, {kBlockThreads}, team, f);
  }
  launch(row_moments<T>, {blocks_for(most(a.lines.count, kMostMembers), 1)}, {kNormLanes}, team, f);
  if (a.lines.cols == 0) return;
  const auto matrices = blocks_for(most(a.lines.count / a.lines.rows, kMostMatrixBlocks), 1);
  launch(column_moments<T>, {blocks_for(a.lines.cols, kColumnThreads), matrices}, {kColumnThreads},
         team, f);
}

template <class T>
__global__ void __launch_bounds__(kNormLanes) measure_lines(const FactorStep<T> f) {
  each_line(f.a, lines_of_block(f), [&](int64_t line, T row) {
    double parameters = 0.0, directions = 0.0;
    each_piece(f.a, line, [&](int64_t at, int64_t n) {
      const T* const c = column_factors(f.a, line, at);
      parameters += squares_of<T>(
          n, [&](int64_t i) { return parameter_at(f.a.segment.p, f.beside, at + i); });
      directions += squares_of<T>(n, [&](int64_t i) {
        return math::Adafactor::direction(f.gradient(at + i), row, c[i], f.least());
      });
    });
    double* const to = f.a.partial + 2 * line;
    if (threadIdx.x == 0) to[0] = parameters, to[1] = directions;
  });
}

template <class T>
__global__ void __launch_bounds__(kNormLanes) update_lines(const FactorStep<T> f) {
  const T step = static_cast<T>(f.a.step);
  each_line(f.a, lines_of_block(f), [&](int64_t line, T row) {
    each_piece(f.a, line, [&](int64_t at, int64_t n) {
      const T* const c = column_factors(f.a, line, at);
      ONEPASS_UNROLL(1)
      for (int64_t i = threadIdx.x; i < n; i += kNormLanes) {
        step_element(f.a.segment, f.beside, f.a.beyond, at + i, [&](int64_t, T g, T& p) {
          p = factor_one(f.around, step, row, c[i], f.least(), g, p);
        });
      }
    });
  });
}

template <class T>
void start_lines(void (*kernel)(FactorStep<T>), const Factored<T>& a, onepass::Team& team) {
  if (team.rank != 0 || a.lines.count == 0) return;
  FactorStep<T> f(a);
  f.lines_a_block = (a.lines.count + kMostLineBlocks - 1) / kMostLineBlocks;
  launch(kernel, {blocks_for(a.lines.count, f.lines_a_block)}, {kNormLanes}, team, f);
}

template <class T>
void start_factor_measure(const Factored<T>& a, onepass::Team& team) {
  start_lines<T>(measure_lines<T>, a, team);
}

template <class T>
void start_factor_update(const Factored<T>& a, onepass::Team& team) {
  start_lines<T>(update_lines<T>, a, team);
}

}  // namespace
}  // namespace onepass::cuda
