// C = init + A B, tile by tile: one strided micro-kernel serves every dense product.
// Each element of C is one chain of multiply-adds over the depth in ascending order, whatever the
// tile, the number of rows or the threads: results never depend on how the work was cut.
#pragma once

#include "../kernels.h"
#include "simd.h"

namespace onepass::ONEPASS_ISA {
namespace {

// The micro-kernel's output, small enough to stay in the first cache.
template <class T>
struct Tile {
  static constexpr int kWidth = Simd<T>::kWidth;
  static constexpr int kRows = Simd<T>::kRows;
  static constexpr int kCols = Simd<T>::kWidth * Simd<T>::kVectors;
  alignas(64) T at[kRows][kCols];
};

// A(r, k) = data[r * row + k * depth]: any transpose without a copy.
template <class T>
struct Left {
  const T* data;
  int64_t row, depth;
};

// tile[0:R][0:NV vectors] += A[0:R] B; the last vector of B has `tail` elements if Part.
template <class T, int R, int NV, bool Part>
void multiply_tile(Left<T> a, const T* b, int64_t b_stride, int64_t depth, int tail,
                   Tile<T>& tile) {
  using S = Simd<T>;
  typename S::V sum[R][NV];
  ONEPASS_UNROLL(8)
  for (int r = 0; r < R; ++r) {
    ONEPASS_UNROLL(3)
    for (int v = 0; v < NV; ++v) sum[r][v] = S::load(&tile.at[r][v * S::kWidth]);
  }
  const T* a_k = a.data;
  for (int64_t k = 0; k < depth; ++k) {
    typename S::V row[NV];
    ONEPASS_UNROLL(3)
    for (int v = 0; v < NV; ++v) {
      const T* p = b + v * S::kWidth;
      row[v] = Part && v == NV - 1 ? S::load(p, tail) : S::load(p);
    }
    ONEPASS_UNROLL(8)
    for (int r = 0; r < R; ++r) {
      const typename S::V x = S::broadcast(a_k[r * a.row]);
      ONEPASS_UNROLL(3)
      for (int v = 0; v < NV; ++v) sum[r][v] = S::fma(x, row[v], sum[r][v]);
    }
    a_k += a.depth;
    b += b_stride;
  }
  ONEPASS_UNROLL(8)
  for (int r = 0; r < R; ++r) {
    ONEPASS_UNROLL(3)
    for (int v = 0; v < NV; ++v) S::store(&tile.at[r][v * S::kWidth], sum[r][v]);
  }
}

template <class T, int R>
void multiply_rows(Left<T> a, const T* b, int64_t b_stride, int64_t depth, int cols,
                   Tile<T>& tile) {
  constexpr int w = Simd<T>::kWidth;
  const int vectors = (cols + w - 1) / w;
  const int tail = cols - (vectors - 1) * w;
  const bool part = tail != w;
  if (vectors == 1) {
    part ? multiply_tile<T, R, 1, true>(a, b, b_stride, depth, tail, tile)
         : multiply_tile<T, R, 1, false>(a, b, b_stride, depth, tail, tile);
  } else if (vectors == 2) {
    part ? multiply_tile<T, R, 2, true>(a, b, b_stride, depth, tail, tile)
         : multiply_tile<T, R, 2, false>(a, b, b_stride, depth, tail, tile);
  } else if constexpr (Simd<T>::kVectors > 2) {
    part ? multiply_tile<T, R, 3, true>(a, b, b_stride, depth, tail, tile)
         : multiply_tile<T, R, 3, false>(a, b, b_stride, depth, tail, tile);
  }
}

template <class T, int R = Simd<T>::kRows>
void multiply(int rows, Left<T> a, const T* b, int64_t b_stride, int64_t depth, int cols,
              Tile<T>& tile) {
  if (rows == R) {
    multiply_rows<T, R>(a, b, b_stride, depth, cols, tile);
  } else if constexpr (R > 1) {
    multiply<T, R - 1>(rows, a, b, b_stride, depth, cols, tile);
  }
}

struct Block {
  Range rows, cols;
  bool by_rows;  // the same for every member, unlike the ranges
};

// One member's part of a rows x cols result: a band of columns cut at whole vectors (cache lines),
// or a band of rows where there are too few columns to go round.
template <class T>
Block split(int64_t rows, int64_t cols, const Team& team) {
  constexpr int64_t line = 64 / sizeof(T);
  if (cols >= team.size * line || cols >= rows) return {{0, rows}, team.share(cols, line), false};
  return {team.share(rows, Simd<T>::kRows), {0, cols}, true};
}

// Walks a block tile by tile. begin(tile, row, col, rows, cols) fills the tile's initial value,
// end(...) takes the result; right(col, cols) gives B's rows from that column on and their stride.
template <class T, class Right, class Begin, class End>
void for_tiles(Block block, Left<T> a, int64_t depth, Right&& right, Begin&& begin, End&& end) {
  Tile<T> tile;
  for (int64_t c = block.cols.begin; c < block.cols.end; c += Tile<T>::kCols) {
    const int64_t left_cols = block.cols.end - c;
    const int cols = static_cast<int>(left_cols < Tile<T>::kCols ? left_cols : Tile<T>::kCols);
    const Matrix<const T> b = right(c, cols);
    for (int64_t r = block.rows.begin; r < block.rows.end; r += Tile<T>::kRows) {
      const int64_t left_rows = block.rows.end - r;
      const int rows = static_cast<int>(left_rows < Tile<T>::kRows ? left_rows : Tile<T>::kRows);
      begin(tile, r, c, rows, cols);
      multiply(rows, Left<T>{a.data + r * a.row, a.row, a.depth}, b.data, b.stride, depth, cols,
               tile);
      end(tile, r, c, rows, cols);
    }
  }
}

template <class T>
void clear(Tile<T>& tile) {
  T* at = &tile.at[0][0];
  for (int i = 0; i < Tile<T>::kRows * Tile<T>::kCols; ++i) at[i] = T(0);
}

// What lies in the tile beyond the matrix's edge is 0: the multiplication runs over whole vectors.
template <class T>
void load(Tile<T>& tile, Matrix<const T> from, int64_t r, int64_t c, int rows, int cols) {
  clear(tile);
  for (int i = 0; i < rows; ++i) {
    const T* row = from.row(r + i) + c;
    for (int j = 0; j < cols; ++j) tile.at[i][j] = row[j];
  }
}

template <class T>
void store(const Tile<T>& tile, Matrix<T> to, int64_t r, int64_t c, int rows, int cols) {
  for (int i = 0; i < rows; ++i) {
    T* row = to.row(r + i) + c;
    if (cols == Tile<T>::kCols) {
      for (int j = 0; j < Tile<T>::kCols; ++j) row[j] = tile.at[i][j];
    } else {
      for (int j = 0; j < cols; ++j) row[j] = tile.at[i][j];
    }
  }
}

template <class T>
Matrix<const T> read_only(Matrix<T> m) {
  return {m.data, m.rows, m.cols, m.stride};
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
