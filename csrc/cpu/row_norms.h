// Norms of a row, in double.
#pragma once

#include "lanes.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Sums over a row in kLanes lanes. Vectors by type: an array of numbers stays in memory, and each
// addition waits for a store.
template <class T>
struct RowNorms {
  static constexpr int kWidth = kVectorBytes / static_cast<int>(sizeof(double));
  static constexpr int kVectors = kLanes / kWidth;
  typedef double V __attribute__((vector_size(kVectorBytes)));
  typedef T Read __attribute__((vector_size(kWidth * sizeof(T))));
  double absolute, squares;

  RowNorms(const T* x, int64_t size) {
    V a[kVectors] = {}, s[kVectors] = {};
    int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) {
      ONEPASS_UNROLL(8)
      for (int v = 0; v < kVectors; ++v) {
        Read read;
        __builtin_memcpy(&read, x + i + v * kWidth, sizeof read);
        const V wide = __builtin_convertvector(read, V);
        a[v] += wide < 0.0 ? -wide : wide;
        s[v] += wide * wide;
      }
    }
    Chunk<double> absolutes, square;
    __builtin_memcpy(absolutes.at, a, sizeof a);
    __builtin_memcpy(square.at, s, sizeof s);
    for (int64_t l = 0; i + l < size; ++l) {
      const double wide = static_cast<double>(x[i + l]);
      absolutes.at[l] += math::abs(wide);
      square.at[l] += wide * wide;
    }
    const auto sum = [](double p, double q) { return p + q; };
    absolute = join(absolutes, sum);
    squares = join(square, sum);
  }
};

}  // namespace
}  // namespace onepass::ONEPASS_ISA
