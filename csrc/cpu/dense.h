// The three products of a dense layer, with bias and activation in the tile's epilogue.
#pragma once

#include "../math/activations.h"
#include "product.h"

namespace onepass::ONEPASS_ISA {
namespace {

// tile = act(tile), over the whole tile: a constant count vectorises without a tail.
template <class T>
void activate(const ActivationSpec& spec, Tile<T>& tile) {
  if (spec.id == 0) return;
  math::Activations::visit(spec.id, [&](auto formula) {
    using F = decltype(formula);
    const auto h = math::hyper_from<F, T>(spec.hyper);
    T* at = &tile.at[0][0];
    for (int i = 0; i < Tile<T>::kRows * Tile<T>::kCols; ++i) at[i] = F::value(at[i], h);
  });
}

// tile *= act'(z, y)
template <class T>
void scale_by_derivative(const ActivationSpec& spec, const Tile<T>& z, const Tile<T>& y,
                         Tile<T>& tile) {
  math::Activations::visit(spec.id, [&](auto formula) {
    using F = decltype(formula);
    const auto h = math::hyper_from<F, T>(spec.hyper);
    T* at = &tile.at[0][0];
    const T* z_at = &z.at[0][0];
    const T* y_at = &y.at[0][0];
    for (int i = 0; i < Tile<T>::kRows * Tile<T>::kCols; ++i) {
      at[i] *= F::derivative(F::kNeedsInput ? z_at[i] : y_at[i], y_at[i], h);
    }
  });
}

template <class T>
void dense_forward(const DenseForward<T>& a, Team& team) {
  const Block block = split<T>(a.y.rows, a.y.cols, team);
  const auto right = [&](int64_t c, int) {
    return Matrix<const T>{a.w.data + c, a.w.rows, a.w.cols, a.w.stride};
  };
  const auto begin = [&](Tile<T>& tile, int64_t, int64_t c, int rows, int cols) {
    clear(tile);
    if (a.b == nullptr) return;
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < cols; ++j) tile.at[i][j] = a.b[c + j];
    }
  };
  const auto end = [&](Tile<T>& tile, int64_t r, int64_t c, int rows, int cols) {
    if (a.z) store(tile, a.z, r, c, rows, cols);
    activate(a.activation, tile);
    store(tile, a.y, r, c, rows, cols);
  };
  for_tiles<T>(block, {a.x.data, a.x.stride, 1}, a.x.cols, right, begin, end);
}

// packed[k][j] = w[c + j][k] for a band of `cols` columns of w^T, zero up to a whole vector.
template <class T>
int64_t pack_transposed(Matrix<const T> w, int64_t c, int cols, T* packed) {
  constexpr int width = Simd<T>::kWidth;
  const int64_t stride = (cols + width - 1) / width * width;
  constexpr int64_t line = 64 / sizeof(T);
  for (int64_t k = 0; k < w.cols; k += line) {
    const int64_t k_end = k + line < w.cols ? k + line : w.cols;
    for (int j = 0; j < cols; ++j) {
      const T* row = w.row(c + j);
      for (int64_t q = k; q < k_end; ++q) packed[q * stride + j] = row[q];
    }
    for (int64_t q = k; q < k_end; ++q) {
      for (int64_t j = cols; j < stride; ++j) packed[q * stride + j] = T(0);
    }
  }
  return stride;
}

template <class T>
void dense_backward_input(const DenseBackwardInput<T>& a, Team& team) {
  const Block block = split<T>(a.dx.rows, a.dx.cols, team);
  const int64_t depth = a.dz.cols;
  // A band of columns is packed by its owner; bands of rows share all of it. Each writes the same
  // values to its own place or, for rows, needs its own copy: pack once, then wait.
  const bool shared = block.by_rows && team.size > 1;
  const auto place = [&](int64_t c) { return a.packed + c * depth; };
  if (shared) {
    int64_t panel = 0;
    for (int64_t c = 0; c < a.dx.cols; c += Tile<T>::kCols, ++panel) {
      const int64_t left = a.dx.cols - c;
      const int cols = static_cast<int>(left < Tile<T>::kCols ? left : Tile<T>::kCols);
      if (panel % team.size == team.rank) pack_transposed(a.w, c, cols, place(c));
    }
    team.sync();
  }
  const auto right = [&](int64_t c, int cols) {
    constexpr int width = Simd<T>::kWidth;
    const int64_t stride =
        shared ? (cols + width - 1) / width * width : pack_transposed(a.w, c, cols, place(c));
    return Matrix<const T>{place(c), depth, stride, stride};
  };
  const auto begin = [&](Tile<T>& tile, int64_t r, int64_t c, int rows, int cols) {
    a.accumulate ? load(tile, read_only(a.dx), r, c, rows, cols) : clear(tile);
  };
  const auto end = [&](Tile<T>& tile, int64_t r, int64_t c, int rows, int cols) {
    if (a.activation.id != 0) {
      Tile<T> z, y;
      load(y, a.y, r, c, rows, cols);
      if (a.z) load(z, a.z, r, c, rows, cols);
      scale_by_derivative(a.activation, a.z ? z : y, y, tile);
    }
    store(tile, a.dx, r, c, rows, cols);
  };
  for_tiles<T>(block, {a.dz.data, a.dz.stride, 1}, depth, right, begin, end);
}

// db[c] (+)= sum over rows, in ascending order.
template <class T>
void column_sums(Matrix<const T> dz, Range cols, bool accumulate, T* db) {
  if (!accumulate) {
    for (int64_t c = cols.begin; c < cols.end; ++c) db[c] = T(0);
  }
  for (int64_t r = 0; r < dz.rows; ++r) {
    const T* row = dz.row(r);
    for (int64_t c = cols.begin; c < cols.end; ++c) db[c] += row[c];
  }
}

template <class T>
void dense_backward_weights(const DenseBackwardWeights<T>& a, Team& team) {
  const Block block = split<T>(a.dw.rows, a.dw.cols, team);
  const auto right = [&](int64_t c, int) {
    return Matrix<const T>{a.dz.data + c, a.dz.rows, a.dz.cols, a.dz.stride};
  };
  const auto begin = [&](Tile<T>& tile, int64_t r, int64_t c, int rows, int cols) {
    a.accumulate ? load(tile, read_only(a.dw), r, c, rows, cols) : clear(tile);
  };
  const auto end = [&](Tile<T>& tile, int64_t r, int64_t c, int rows, int cols) {
    store(tile, a.dw, r, c, rows, cols);
  };
  if (a.dw) for_tiles<T>(block, {a.x.data, 1, a.x.stride}, a.dz.rows, right, begin, end);
  if (a.db != nullptr) column_sums(a.dz, team.share(a.dz.cols, 64 / sizeof(T)), a.accumulate, a.db);
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
