// Sums over whole arrays, with the bits of the CPU's reduce.h: a block takes kNormBlock elements,
// each of its threads a lane.
#pragma once

#include "../loops/norm_lanes.h"
#include "beside_element.h"

namespace onepass::cuda {
namespace {

// The sum of term(0) to term(n - 1), for all threads of a block of kNormLanes.
template <class Sum, class F>
__device__ __forceinline__ double sum_in_lanes(int64_t n, F&& term) {
  ONEPASS_SHARED(Sum, lanes, [kNormLanes]);
  Sum own = 0;
  ONEPASS_UNROLL(4)
  for (int64_t i = threadIdx.x; i < n; i += kNormLanes) own += term(i);
  lanes[threadIdx.x] = own;
  __syncthreads();
  const double total = joined_lanes(lanes);
  __syncthreads();  // nobody writes the next sum's lanes before all have read these
  return total;
}

// Of the squares of x(0) to x(n - 1).
template <class T, class F>
__device__ __forceinline__ double squares_of(int64_t n, F&& x) {
  return squares_by<T>([&](auto zero) {
    using Sum = decltype(zero);
    return sum_in_lanes<Sum>(n, [&](int64_t i) {
      const Sum value = static_cast<Sum>(x(i));
      return value * value;
    });
  });
}

template <class T>
Beside<T> value_or_none(const Beside<T>* beside) {
  return beside == nullptr ? Beside<T>{} : *beside;
}

// Blocks of kNormBlock elements.
inline int64_t norm_blocks(int64_t size) { return (size + kNormBlock - 1) / kNormBlock; }
__device__ __forceinline__ int64_t elements_of_block(int64_t size) {
  const int64_t left = size - int64_t{blockIdx.x} * kNormBlock;
  return left < kNormBlock ? left : kNormBlock;
}

template <class T>
__global__ void __launch_bounds__(kNormLanes)
    sum_squares_of_block(const SumOfSquares<T> a, const Beside<T> beside) {
  const int64_t first = int64_t{blockIdx.x} * kNormBlock;
  const double sum = squares_of<T>(elements_of_block(a.size), [&](int64_t i) {
    return gradient_at(a.data, beside, a.adds, first + i);
  });
  if (threadIdx.x == 0) a.partial[blockIdx.x] = sum;
}

template <class T>
void start_sum_of_squares(const SumOfSquares<T>& a, onepass::Team& team) {
  if (team.rank != 0 || a.size == 0) return;
  const dim3 grid{static_cast<unsigned>(norm_blocks(a.size))}, block{kNormLanes};
  launch(sum_squares_of_block<T>, grid, block, team, a, value_or_none(a.beside));
}

}  // namespace
}  // namespace onepass::cuda
