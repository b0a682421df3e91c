// The three products of a dense layer, with bias and activation in the tile's epilogue.
#pragma once

#include "../math/activations.h"
#include "blocks.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
void store(const Tile<T>& tile, Matrix<T> to, int64_t r, int64_t c, int cols) {
  using S = Simd<T>;
  const int tail = cols - (tile.vectors - 1) * S::kWidth;
  for (int i = 0; i < tile.rows; ++i) {
    T* row = to.row(r + i) + c;
    for (int v = 0; v < tile.vectors - 1; ++v) {
      S::store(row + v * S::kWidth, S::load(tile.row(i) + v * S::kWidth));
    }
    const int last = (tile.vectors - 1) * S::kWidth;
    S::store(row + last, S::load(tile.row(i) + last), tail);
  }
}

// The part of a matrix under a tile; zeros beyond the matrix's edge.
template <class T>
void load(Tile<T>& tile, Matrix<const T> from, int64_t r, int64_t c, int cols) {
  using S = Simd<T>;
  const int tail = cols - (tile.vectors - 1) * S::kWidth;
  for (int i = 0; i < tile.rows; ++i) {
    const T* row = from.row(r + i) + c;
    for (int v = 0; v < tile.vectors - 1; ++v) {
      S::store(tile.row(i) + v * S::kWidth, S::load(row + v * S::kWidth));
    }
    const int last = (tile.vectors - 1) * S::kWidth;
    S::store(tile.row(i) + last, S::load(row + last, tail));
  }
}

// tile = act(tile)
template <class T>
void activate(const ActivationSpec& spec, Tile<T>& tile) {
  math::Activations::visit(spec.id, [&](auto formula) {
    using F = decltype(formula);
    const auto h = math::hyper_from<F, T>(spec.hyper);
    T* at = tile.at;
    const int n = tile.size();
    ONEPASS_IVDEP
    for (int i = 0; i < n; ++i) at[i] = F::value(at[i], h);
  });
}

// tile *= act'(z, y)
template <class T>
void scale_by_derivative(const ActivationSpec& spec, const Tile<T>& z, const Tile<T>& y,
                         Tile<T>& tile) {
  math::Activations::visit(spec.id, [&](auto formula) {
    using F = decltype(formula);
    const auto h = math::hyper_from<F, T>(spec.hyper);
    T* at = tile.at;
    const T* z_at = z.at;
    const T* y_at = y.at;
    const int n = tile.size();
    ONEPASS_IVDEP
    for (int i = 0; i < n; ++i) {
      at[i] *= F::derivative(F::kNeedsInput ? z_at[i] : y_at[i], y_at[i], h);
    }
  });
}

template <class T>
void dense_forward(const DenseForward<T>& a, Team& team) {
  const Block block = bands_of_columns<T>(a.y.rows, a.y.cols, team);
  const Product<T> product{{a.x.data, a.x.stride, 1}, a.x.cols, a.z ? a.z : a.y, a.b, false};
  const Straight<T> right{a.w, block.rows};
  if (a.activation.id == 0 && !a.z) {
    multiply_block(product, right, block, team, Direct{});
    return;
  }
  multiply_block(product, right, block, team,
                 [&](Tile<T>& tile, int64_t r, int64_t c, int cols) {
                   if (a.z) store(tile, a.z, r, c, cols);
                   activate(a.activation, tile);
                   store(tile, a.y, r, c, cols);
                 });
}

template <class T>
void dense_backward_input(const DenseBackwardInput<T>& a, Team& team) {
  const Block block = bands_of_columns<T>(a.dx.rows, a.dx.cols, team);
  const Product<T> product{{a.dz.data, a.dz.stride, 1}, a.dz.cols, a.dx, nullptr, a.accumulate};
  const Turned<T> right{a.w};
  if (a.activation.id == 0) {
    multiply_block(product, right, block, team, Direct{});
    return;
  }
  multiply_block(product, right, block, team,
                 [&](Tile<T>& tile, int64_t r, int64_t c, int cols) {
                   Tile<T> z, y;
                   z.rows = y.rows = tile.rows;
                   z.vectors = y.vectors = tile.vectors;
                   load(y, a.y, r, c, cols);
                   if (a.z) load(z, a.z, r, c, cols);
                   scale_by_derivative(a.activation, a.z ? z : y, y, tile);
                   store(tile, a.dx, r, c, cols);
                 });
}

// db[c] (+)= sum over rows, in ascending order.
template <class T>
void column_sums(Matrix<const T> dz, Range cols, bool accumulate, T* db) {
  constexpr int kStep = 64;
  for (int64_t c = cols.begin; c < cols.end; c += kStep) {
    T sums[kStep] = {};
    const int64_t n = cols.end - c < kStep ? cols.end - c : kStep;
    for (int64_t i = 0; i < n && accumulate; ++i) sums[i] = db[c + i];
    for (int64_t r = 0; r < dz.rows; ++r) {
      const T* row = dz.row(r) + c;
      if (n == kStep) {
        for (int i = 0; i < kStep; ++i) sums[i] += row[i];
      } else {
        for (int64_t i = 0; i < n; ++i) sums[i] += row[i];
      }
    }
    for (int64_t i = 0; i < n; ++i) db[c + i] = sums[i];
  }
}

template <class T>
void dense_backward_weights(const DenseBackwardWeights<T>& a, Team& team) {
  const Block block = bands_of_rows<T>(a.dw.rows, a.dw.cols, team);
  const Product<T> product{{a.x.data, 1, a.x.stride}, a.dz.rows, a.dw, nullptr, a.accumulate};
  const Straight<T> right{a.dz, block.rows};
  if (a.dw) multiply_block(product, right, block, team, Direct{});
  if (a.db != nullptr) column_sums(a.dz, team.share(a.dz.cols, 64 / sizeof(T)), a.accumulate, a.db);
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
