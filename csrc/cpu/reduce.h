// Reductions over whole arrays: fixed blocks and lanes, so equal for every team and instruction
// set.
#pragma once

#include "../loops/norm_lanes.h"
#include "sweep_beside.h"

namespace onepass::ONEPASS_ISA {
namespace {

// The sum of x[i] * y[i]. Inline: of squares the loop then reads once.
template <class T, class Sum>
ONEPASS_INLINE double block_products(const T* x, const T* y, int64_t size) {
  // Vectors by type: an array of numbers stays in memory, and each addition waits for a store.
  constexpr int kWidth = kVectorBytes / sizeof(Sum), kVectors = kNormLanes / kWidth;
  typedef Sum V __attribute__((vector_size(kVectorBytes)));
  typedef T Read __attribute__((vector_size(kWidth * sizeof(T))));
  V sums[kVectors] = {};
  int64_t i = 0;
  for (; i + kNormLanes <= size; i += kNormLanes) {
    ONEPASS_UNROLL(32)
    for (int v = 0; v < kVectors; ++v) {
      Read left, right;
      __builtin_memcpy(&left, x + i + v * kWidth, sizeof left);
      __builtin_memcpy(&right, y + i + v * kWidth, sizeof right);
      sums[v] += __builtin_convertvector(left, V) * __builtin_convertvector(right, V);
    }
  }
  alignas(64) Sum lanes[kNormLanes];
  __builtin_memcpy(lanes, sums, sizeof lanes);
  for (int64_t l = 0; i + l < size; ++l) {
    lanes[l] += static_cast<Sum>(x[i + l]) * static_cast<Sum>(y[i + l]);
  }
  return joined_lanes(lanes);
}

template <class T>
double squares_of(const T* x, int64_t size) {
  return squares_by<T>([&](auto zero)
                           ONEPASS_FLAT { return block_products<T, decltype(zero)>(x, x, size); });
}

// Always in double: products of both signs may cancel.
template <class T>
double products_of(const T* x, const T* y, int64_t size) {
  return block_products<T, double>(x, y, size);
}

template <class T>
void sum_of_squares(const SumOfSquares<T>& a, Team& team) {
  const int64_t blocks = (a.size + kNormBlock - 1) / kNormBlock;
  const Range share = team.share(blocks, 1);
  for (int64_t b = share.begin; b < share.end; ++b) {
    const int64_t left = a.size - b * kNormBlock;
    const int64_t size = left < kNormBlock ? left : kNormBlock;
    const T* x = a.beside == nullptr ? a.data + b * kNormBlock
                                     : gradient_block(a.data, *a.beside, a.adds, b * kNormBlock,
                                                      size, static_cast<T*>(team.scratch));
    a.partial[b] = squares_of(x, size);
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
