// C = start + A B, tile by tile: one strided micro-kernel serves every dense product.
// Each element of C is one chain of multiply-adds over the depth in ascending order, whatever the
// tile, the packing, the number of rows or the threads: results never depend on how the work was
// cut.
#pragma once

#include <type_traits>

#include "../kernels.h"
#include "simd.h"

namespace onepass::ONEPASS_ISA {
namespace {

// A(r, k) = data[r * row + k * depth]: any transpose without a copy.
template <class T>
struct Left {
  const T* data;
  int64_t row, depth;
};

// Rows of B from some column on.
template <class T>
struct Right {
  const T* data;
  int64_t stride;
};

// Where a tile begins: `data` null means zeros, stride 0 one row for all.
template <class T>
struct Start {
  const T* data;
  int64_t stride;
};

template <class T>
struct Destination {
  T* data;
  int64_t stride;
};

// A tile of the result that an epilogue works on before it is stored: `vectors` whole vectors a
// row, small enough to stay in the first cache.
template <class T>
struct Tile {
  using S = Simd<T>;
  static constexpr int kSize = S::kRows * S::kWidth * S::kVectors;
  alignas(64) T at[kSize];
  int rows, vectors;

  ONEPASS_INLINE int stride() const { return vectors * S::kWidth; }
  ONEPASS_INLINE T* row(int r) { return at + r * stride(); }
  ONEPASS_INLINE const T* row(int r) const { return at + r * stride(); }
  // Elements, which the compiler knows to be whole vectors.
  ONEPASS_INLINE int size() const { return rows * stride(); }
};

// to[0:R][0:NV vectors] = start + A[0:R] B; of the last vector only `tail` elements if Part. With
// Pack the rows of B are written to `packed` on the way, NV vectors each.
template <class T, int R, int NV, bool Part, bool Pack>
void multiply_tile(Left<T> a, Right<T> b, int64_t depth, int tail, Start<T> start,
                   Destination<T> to, T* packed) {
  using S = Simd<T>;
  using V = typename S::V;
  V sum[R][NV];
  const auto load = [&](const T* row, int v) {
    const T* p = row + v * S::kWidth;
    return Part && v == NV - 1 ? S::load(p, tail) : S::load(p);
  };
  ONEPASS_UNROLL(8)
  for (int r = 0; r < R; ++r) {
    ONEPASS_UNROLL(8)
    for (int v = 0; v < NV; ++v) {
      sum[r][v] = start.data != nullptr ? load(start.data + r * start.stride, v) : V{};
    }
  }
  const T* a_k = a.data;
  const T* b_k = b.data;
  for (int64_t k = 0; k < depth; ++k) {
    V row[NV];
    ONEPASS_UNROLL(8)
    for (int v = 0; v < NV; ++v) {
      row[v] = load(b_k, v);
      if constexpr (Pack) S::store(packed + v * S::kWidth, row[v]);
    }
    ONEPASS_UNROLL(8)
    for (int r = 0; r < R; ++r) {
      const V x = S::broadcast(a_k[r * a.row]);
      ONEPASS_UNROLL(8)
      for (int v = 0; v < NV; ++v) sum[r][v] = S::fma(x, row[v], sum[r][v]);
    }
    a_k += a.depth;
    b_k += b.stride;
    if constexpr (Pack) packed += NV * S::kWidth;
  }
  ONEPASS_UNROLL(8)
  for (int r = 0; r < R; ++r) {
    ONEPASS_UNROLL(8)
    for (int v = 0; v < NV; ++v) {
      T* p = to.data + r * to.stride + v * S::kWidth;
      Part&& v == NV - 1 ? S::store(p, sum[r][v], tail) : S::store(p, sum[r][v]);
    }
  }
}

template <class T>
struct TileCall {
  Left<T> a;
  Right<T> b;
  int64_t depth;
  int cols;
  Start<T> start;
  Destination<T> to;
  T* packed;  // where B goes, or nullptr
};

template <class T, int R, int NV, bool Pack>
ONEPASS_INLINE void multiply_vectors(const TileCall<T>& t) {
  const int tail = t.cols - (NV - 1) * Simd<T>::kWidth;
  tail == Simd<T>::kWidth
      ? multiply_tile<T, R, NV, false, Pack>(t.a, t.b, t.depth, tail, t.start, t.to, t.packed)
      : multiply_tile<T, R, NV, true, Pack>(t.a, t.b, t.depth, tail, t.start, t.to, t.packed);
}

constexpr int kWideVectors = 8;  // of a tile of one row, which would have too few accumulators

// The number of vectors is found from the widest down.
template <class T, int R, bool Pack, int NV = R == 1 ? kWideVectors : Simd<T>::kVectors>
void multiply_rows(const TileCall<T>& t) {
  if constexpr (NV > 1) {
    if (t.cols <= (NV - 1) * Simd<T>::kWidth) return multiply_rows<T, R, Pack, NV - 1>(t);
  }
  multiply_vectors<T, R, NV, Pack>(t);
}

template <class T, int R = Simd<T>::kRows>
void multiply(int rows, const TileCall<T>& t) {
  if (rows == R) {
    if constexpr (R == Simd<T>::kRows) {
      if (t.packed != nullptr) return multiply_rows<T, R, true>(t);
    }
    multiply_rows<T, R, false>(t);
  } else if constexpr (R > 1) {
    multiply<T, R - 1>(rows, t);
  }
}

struct Block {
  Range rows, cols;
};

// One member's part of a rows x cols result: a band of columns cut at whole vectors (cache lines),
// or a band of rows where there are too few columns to go round.
template <class T>
Block split(int64_t rows, int64_t cols, const Team& team) {
  constexpr int64_t line = 64 / sizeof(T);
  if (splits_by_columns(rows, cols, line, team.size)) {
    return {{0, rows}, team.share(cols, line)};
  }
  return {team.share(rows, Simd<T>::kRows), {0, cols}};
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
