// Sums over whole tensors for the rules that need them: the bits of the CPU's measure.h.
#pragma once

#include "../loops/around.h"
#include "reduce.h"

namespace onepass::cuda {
namespace {

// What a block measures.
template <class R, class T>
struct Measured {
  Segment<T> segment;
  typename R::template Hyper<T> h;
  AroundOf<T> around;
  Beside<T> beside;
  bool adds;
  double* partial;

  // Of element i: what takes the parameter's place in the sums, and what is measured.
  struct Of {
    T p, measured;
  };
  __device__ __forceinline__ Of at(int64_t i) const {
    const Segment<T>& s = segment;
    const bool reads = math::kScaled<R> || around.l2 != T(0);
    T p = reads ? parameter_at(s.p, beside, i) : T(0);
    const T g = gradient_at(s.g, beside, adds, i);
    T s1{};
    if constexpr (R::kStates > 1) s1 = s.state[1][i];
    const T measured = measure_one<R>(h, around, g, p, s.state[0][i], s1);
    const bool padding = s.cols != s.stride && i % s.stride >= s.cols;
    return {p, padding ? T(0) : measured};
  }
};

template <class R, class T>
__global__ void __launch_bounds__(kNormLanes) measure_block(const Measured<R, T> m) {
  const int64_t first = int64_t{blockIdx.x} * kNormBlock, n = elements_of_block(m.segment.size);
  double* const to = m.partial + 2 * int64_t{blockIdx.x};
  if constexpr (math::kLearnsRate<R>) {
    // In double: products of both signs may cancel.
    const double sum = sum_in_lanes<double>(n, [&](int64_t i) {
      const auto of = m.at(first + i);
      return static_cast<double>(of.p) * static_cast<double>(of.measured);
    });
    if (threadIdx.x == 0) to[0] = sum;
  } else {
    const double p = squares_of<T>(n, [&](int64_t i) { return m.at(first + i).p; });
    const double measured = squares_of<T>(n, [&](int64_t i) { return m.at(first + i).measured; });
    if (threadIdx.x == 0) to[0] = p, to[1] = measured;
  }
}

template <class T>
void start_measure(const Measure<T>& m, onepass::Team& team) {
  if (team.rank != 0 || m.segment.size == 0) return;
  const dim3 grid{static_cast<unsigned>(norm_blocks(m.segment.size))}, block{kNormLanes};
  math::Rules::visit(m.rule, [&](auto rule) {
    using R = decltype(rule);
    if constexpr (math::kMeasured<R>) {
      const Measured<R, T> one{m.segment,
                               math::hyper_from<R, T>(m.scalars),
                               AroundOf<T>::of(m.around),
                               value_or_none(m.beside),
                               m.adds,
                               m.partial};
      launch(measure_block<R, T>, grid, block, team, one);
    }
  });
}

}  // namespace
}  // namespace onepass::cuda
