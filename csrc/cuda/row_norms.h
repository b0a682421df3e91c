// Norms of a row, in double: the bits of the CPU's row_norms.h.
#pragma once

#include "lanes.h"

namespace onepass::cuda {
namespace {

template <class T>
struct RowNorms {
  double absolute, squares;

  __device__ RowNorms(const T* x, int64_t size) {
    Chunk<double> absolutes{{0.0}}, square{{0.0}};
    for_elements(0, size, [&](int64_t i) {
      const double wide = static_cast<double>(x[i]);
      absolutes.at[0] += math::abs(wide);
      square.at[0] += wide * wide;
    });
    const auto sum = [](double p, double q) { return p + q; };
    absolute = join(absolutes, sum);
    squares = join(square, sum);
  }
};

}  // namespace
}  // namespace onepass::cuda
