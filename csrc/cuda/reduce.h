// Sums over whole arrays, with the bits of the CPU's reduce.h: a block takes kNormBlock elements,
// each of its threads a lane; or a member of a team does, each of its threads with four lanes.
#pragma once

#include "../loops/norm_lanes.h"
#include "beside_element.h"
#include "wide.h"

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

constexpr int kOwnLanes = kNormLanes / kLanes;  // of a thread of a member
template <class T>
using OwnLanes = Wide<T, kOwnLanes>;
constexpr int kSummingMembers = 4;  // of a block

// The sum of squares of x(0) to x(n - 1), for all threads of a member: all its lanes' elements that
// lie together are read at once, by `read`.
template <class Sum, class T, class Read, class One>
__device__ __forceinline__ double member_squares(int64_t n, Read&& read, One&& x) {
  ONEPASS_SHARED(Sum, lanes, [kSummingMembers][kNormLanes]);
  const int first = own_lane() * kOwnLanes;
  Sum own[kOwnLanes] = {};
  const auto add = [&](int l, T value) {
    const Sum wider = static_cast<Sum>(value);
    own[l] += wider * wider;
  };
  int64_t i = first;
  ONEPASS_UNROLL(4)
  for (; i + kOwnLanes <= n; i += kNormLanes) {
    const OwnLanes<T> values = read(i);
    ONEPASS_UNROLL(4)
    for (int l = 0; l < kOwnLanes; ++l) add(l, values.at[l]);
  }
  ONEPASS_UNROLL(4)
  for (int l = 0; l < kOwnLanes; ++l) {
    if (i + l < n) add(l, x(i + l));
  }
  Sum* const all = lanes[threadIdx.x / kLanes];
  ONEPASS_UNROLL(4)
  for (int l = 0; l < kOwnLanes; ++l) all[first + l] = own[l];
  together();
  const double total = joined_lanes(all);
  together();
  return total;
}

// Of data at the address of an OwnLanes.
template <class T>
__device__ __forceinline__ double member_squares_of(const T* x, int64_t n) {
  return squares_by<T>([&](auto zero) {
    return member_squares<decltype(zero), T>(
        n, [&](int64_t i) { return OwnLanes<T>::load(x + i); }, [&](int64_t i) { return x[i]; });
  });
}

template <class T>
bool lies_wide(const T* data) {
  return reinterpret_cast<uintptr_t>(data) % sizeof(OwnLanes<T>) == 0;
}

// A block of elements a member.
template <class T>
__global__ void __launch_bounds__(kSummingMembers* kLanes)
    sum_squares_of_blocks(const T* data, int64_t size, double* partial, int64_t blocks) {
  const int64_t block = int64_t{blockIdx.x} * kSummingMembers + threadIdx.x / kLanes;
  if (block >= blocks) return;
  const int64_t first = block * kNormBlock, left = size - first;
  const double sum = member_squares_of(data + first, left < kNormBlock ? left : kNormBlock);
  if (leads()) partial[block] = sum;
}

template <class T>
void start_sum_of_squares(const SumOfSquares<T>& a, onepass::Team& team) {
  if (team.rank != 0 || a.size == 0) return;
  const int64_t blocks = norm_blocks(a.size);
  if (a.beside == nullptr && lies_wide(a.data)) {
    const int64_t needed = (blocks + kSummingMembers - 1) / kSummingMembers;
    launch(sum_squares_of_blocks<T>, {static_cast<unsigned>(needed)}, {kSummingMembers * kLanes},
           team, a.data, a.size, a.partial, blocks);
    return;
  }
  launch(sum_squares_of_block<T>, {static_cast<unsigned>(blocks)}, {kNormLanes}, team, a,
         value_or_none(a.beside));
}

}  // namespace
}  // namespace onepass::cuda
