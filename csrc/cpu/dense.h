// The three products of a dense layer, with bias and activation in the tile's epilogue.
#pragma once

#include "../loops/dropout.h"
#include "../loops/elementwise.h"
#include "../math/activations.h"
#include "last_columns.h"

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

// The part of a matrix under a tile. What a tile holds beyond the edge is never stored.
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

template <class T>
void add_to(Tile<T>& tile, Matrix<const T> from, int64_t r, int64_t c, int cols) {
  Tile<T> other;
  other.rows = tile.rows;
  other.vectors = tile.vectors;
  load(other, from, r, c, cols);
  const int n = tile.size();
  for (int i = 0; i < n; ++i) tile.at[i] = other.at[i] + tile.at[i];
}

// Calls f(tile, r, c, cols) for every tile of a block, with the tile's size set.
template <class T, class F>
void for_tiles(Block block, F&& f) {
  constexpr int64_t height = Tile<T>::kTiles * Packed<T>::kHeight, width = Packed<T>::kCols;
  Tile<T> tile;
  for (int64_t c = block.cols.begin; c < block.cols.end; c += width) {
    const int64_t left = block.cols.end - c;
    const int cols = static_cast<int>(left < width ? left : width);
    tile.vectors = (cols + Simd<T>::kWidth - 1) / Simd<T>::kWidth;
    for (int64_t r = block.rows.begin; r < block.rows.end; r += height) {
      tile.rows = static_cast<int>(block.rows.end - r < height ? block.rows.end - r : height);
      f(tile, r, c, cols);
    }
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

bool needs_input(const ActivationSpec& spec) {
  bool needs = false;
  math::Activations::visit(spec.id, [&](auto formula) { needs = decltype(formula)::kNeedsInput; });
  return needs;
}

// tile *= act', of the activation's input where the formula needs that, else of its value
template <class T>
void scale_by_derivative(const ActivationSpec& spec, const Tile<T>& of, Tile<T>& tile) {
  math::Activations::visit(spec.id, [&](auto formula) {
    using F = decltype(formula);
    const auto h = math::hyper_from<F, T>(spec.hyper);
    T* at = tile.at;
    const T* of_at = of.at;
    const int n = tile.size();
    ONEPASS_IVDEP
    for (int i = 0; i < n; ++i) at[i] *= F::derivative(of_at[i], of_at[i], h);
  });
}

template <class T>
void scale(Tile<T>& tile, T factor) {
  const int n = tile.size();
  for (int i = 0; i < n; ++i) tile.at[i] *= factor;
}

// The end of a forward product: the value before the activation stored where it is wanted, the
// activation.
template <class T, class Last = Stored<T>>
struct FinishForward {
  using End = Last;
  const DenseForward<T>& a;

  void operator()(Tile<T>& tile, int64_t r, int64_t c, int cols) const {
    if (a.z) store(tile, a.z, r, c, cols);
    if (a.activation.id != 0) activate(a.activation, tile);
    store(tile, a.y, r, c, cols);
  }
};

// The end of the input gradient: the derivative of the activation before it.
template <class T>
struct FinishBackward {
  using End = Stored<T>;
  const DenseBackwardInput<T>& a;

  void operator()(Tile<T>& tile, int64_t r, int64_t c, int cols) const {
    if (a.gain != 1.0) scale(tile, static_cast<T>(a.gain));
    if (a.activation.id != 0) {
      Tile<T> of;
      of.rows = tile.rows;
      of.vectors = tile.vectors;
      load(of, needs_input(a.activation) ? a.z : a.y, r, c, cols);
      scale_by_derivative(a.activation, of, tile);
    }
    store(tile, a.dx, r, c, cols);
  }
};

// The same for a product whose result lies on its side.
template <class T>
struct FinishTurned {
  using End = Stored<T>;
  FinishBackward<T> upright;

  void operator()(Tile<T>& tile, int64_t r, int64_t c, int cols) const {
    constexpr int width = Simd<T>::kWidth;
    Tile<T> turned;
    turned.rows = cols;
    turned.vectors = (tile.rows + width - 1) / width;
    for (int i = 0; i < tile.rows; i += width) {
      for (int j = 0; j < cols; j += width) {
        turn_square<T, true>(tile.row(i) + j, tile.stride(), width, width, turned.row(j) + i,
                             turned.stride());
      }
    }
    upright(turned, c, r, tile.rows);
  }
};

template <class T>
Matrix<const T> read_only(Matrix<T> m) {
  return {m.data, m.rows, m.cols, m.stride};
}

// x w over a part of the depth; the bias begins the first one's chains.
template <class T, class Finish>
void forward_part(const DenseForward<T>& a, Range depth, Matrix<T> c, Block block, Team& team,
                  Finish finish) {
  const T* bias = depth.begin == 0 ? a.b : nullptr;
  const Matrix<const T> w{a.w.row(depth.begin), depth.end - depth.begin, a.w.cols, a.w.stride};
  const Product<T> product{{a.x.data + depth.begin, a.x.stride, 1}, w.rows, c, bias, false};
  multiply_block(product, Straight<T>(w, block.rows), block, team, finish);
}

// One half of the team sums up the first half of the depth, the other one the second; each joins
// the two on a band of columns.
template <class T>
Block forward_by_halves(const DenseForward<T>& a, int64_t half, Matrix<T> first, Team& team) {
  const int each = team.size / 2;
  const Team side{team.rank % each, each, nullptr, nullptr};
  const Block block{{0, a.y.rows}, side.share(a.y.cols, kLineBytes / sizeof(T))};
  if (team.rank < each) {
    forward_part(a, {0, half}, first, block, team, Stored<T>{});
  } else {
    forward_part(a, {half, a.x.cols}, a.partial, block, team, Stored<T>{});
  }
  team.sync();
  const Block joined{{0, a.y.rows}, team.share(a.y.cols, kLineBytes / sizeof(T))};
  const FinishForward<T> finish{a};
  for_tiles<T>(joined, [&](Tile<T>& tile, int64_t r, int64_t c, int cols) {
    load(tile, read_only(a.partial), r, c, cols);
    add_to(tile, read_only(first), r, c, cols);
    finish(tile, r, c, cols);
  });
  return joined;
}

// A result without gaps that stays in the first-level cache: what follows a product is then faster
// in one run over it than tile by tile.
template <class T>
bool is_one_run(Matrix<T> m, Block block) {
  constexpr int64_t most = int64_t{16} << 10;
  return m.stride == m.cols && block.cols.end - block.cols.begin == m.cols &&
         m.rows * m.cols * int64_t{sizeof(T)} <= most;
}

template <class T>
Matrix<T> rows_of(Matrix<T> m, Range rows) {
  return m ? Matrix<T>{m.row(rows.begin), rows.end - rows.begin, m.cols, m.stride} : m;
}

// What two members take from each other's caches: by halves of the depth, half of the sums; by
// bands of columns, half of x, of which each has made a band, and the other one's rows of w.
template <class T>
bool halves_move_less(Matrix<const T> x, int64_t cols) {
  return 2 * x.rows * cols <= x.cols * cols + 2 * x.rows * x.cols;
}

// Returns the member's block of y.
template <class T>
Block forward_block(const DenseForward<T>& a, Team& team) {
  const Block block = bands_of_columns<T>(a.y.rows, a.y.cols, team);
  const Matrix<T> sums = a.z ? a.z : a.y;
  const int64_t half = half_depth(a.x.cols);
  const bool by_run = a.activation.id != 0 && is_one_run(sums, block) && is_one_run(a.y, block);
  const bool plain = by_run || (a.activation.id == 0 && !a.z);
  const Range all{0, a.x.cols}, first{0, half}, second{half, a.x.cols};
  if (half == 0) {
    plain ? forward_part(a, all, sums, block, team, Stored<T>{})
          : forward_part(a, all, sums, block, team, FinishForward<T>{a});
  } else if (a.partial && team.size % 2 == 0 && halves_move_less(a.x, a.y.cols)) {
    return forward_by_halves(a, half, sums, team);
  } else {
    forward_part(a, team.backwards ? second : first, sums, block, team, Stored<T>{});
    const Range last = team.backwards ? first : second;
    plain ? forward_part(a, last, sums, block, team, Joined<T>{})
          : forward_part(a, last, sums, block, team, FinishForward<T, Joined<T>>{a});
  }
  if (by_run) {
    Team alone{0, 1, nullptr, nullptr};
    const Matrix<T> x = rows_of(sums, block.rows), y = rows_of(a.y, block.rows);
    activation_forward<T>({read_only(x), y, a.activation}, alone);
  }
  return block;
}

// The mask is drawn once the block is there: its groups of random words are wider than tiles, and
// drawing takes far longer than reading the block again.
template <class T>
void dense_forward(const DenseForward<T>& a, Team& team) {
  const Block block = forward_block(a, team);
  const DropoutEnd& d = a.dropout;
  if (d.rate == 0.0) return;
  drop<T>({read_only(a.y), a.y, d.rate, false, false, d.key, d.first, d.rows_per_sample, false},
          block);
}

// Whether it is less work to turn dz and the result than the weights: with few samples, in whole
// vectors.
template <class T>
bool lies_better(const DenseBackwardInput<T>& a) {
  constexpr int64_t width = Simd<T>::kWidth;
  const int64_t samples = a.dx.rows, units = a.dz.cols;
  return !a.accumulate && units <= Packed<T>::kDepth && samples >= 2 * width &&
         samples % width == 0 && samples * (units + a.dx.cols) < units * a.dx.cols;
}

template <class T>
void dense_backward_input(const DenseBackwardInput<T>& a, Team& team) {
  const Block block = bands_of_columns<T>(a.dx.rows, a.dx.cols, team);
  if (lies_better(a)) {
    const Matrix<T> on_its_side{a.dx.data, a.dx.cols, a.dx.rows, 0};  // stays in tiles
    const Product<T> product{{a.w.data, a.w.stride, 1}, a.dz.cols, on_its_side, nullptr, false};
    const Block turned{block.cols, block.rows};
    multiply_block(product, Turned<T>{a.dz}, turned, team, FinishTurned<T>{{a}});
    return;
  }
  const Product<T> product{{a.dz.data, a.dz.stride, 1}, a.dz.cols, a.dx, nullptr, a.accumulate};
  const Matrix<const T> of = needs_input(a.activation) ? a.z : a.y;
  const bool plain = a.activation.id == 0 && a.gain == 1.0;
  const bool by_run =
      a.activation.id != 0 && a.gain == 1.0 && is_one_run(a.dx, block) && is_one_run(of, block);
  const auto multiply_by = [&](const auto& right) {
    plain || by_run ? multiply_block(product, right, block, team, Stored<T>{})
                    : multiply_block(product, right, block, team, FinishBackward<T>{a});
  };
  // One column of weights lies in memory as their transpose does.
  a.w.cols == 1 && a.w.stride == 1
      ? multiply_by(Straight<T>({a.w.data, 1, a.w.rows, a.w.rows}, block.rows))
      : multiply_by(Turned<T>{a.w});
  if (by_run) {
    Team alone{0, 1, nullptr, nullptr};
    const Matrix<T> dx = rows_of(a.dx, block.rows);
    const Matrix<const T> x = rows_of(of, block.rows);
    activation_backward<T>({x, x, read_only(dx), dx, a.activation, false}, alone);
  }
}

// db[c] (+)= sum over rows, in ascending order, of kColumns vectors side by side.
template <class T, int kColumns>
ONEPASS_INLINE void sum_columns(Matrix<const T> dz, int64_t c, int tail, bool accumulate, T* db) {
  using S = Simd<T>;
  typename S::V sums[kColumns];
  const auto load = [&](const T* p, int v) {
    return v == kColumns - 1 ? S::load(p + v * S::kWidth, tail) : S::load(p + v * S::kWidth);
  };
  for (int v = 0; v < kColumns; ++v) {
    sums[v] = accumulate ? load(db + c, v) : typename S::V{};
  }
  for (int64_t r = 0; r < dz.rows; ++r) {
    for (int v = 0; v < kColumns; ++v) sums[v] = sums[v] + load(dz.row(r) + c, v);
  }
  for (int v = 0; v < kColumns - 1; ++v) S::store(db + c + v * S::kWidth, sums[v]);
  S::store(db + c + (kColumns - 1) * S::kWidth, sums[kColumns - 1], tail);
}

// The number of vectors is found from the widest down.
template <class T, int kColumns = 4>
void column_sums(Matrix<const T> dz, Range cols, bool accumulate, T* db) {
  constexpr int64_t width = Simd<T>::kWidth, wide = kColumns * width;
  int64_t c = cols.begin;
  for (; cols.end - c > wide - width; c += wide) {
    const int64_t tail = cols.end - c - (wide - width);
    const int last = static_cast<int>(tail < width ? tail : width);
    sum_columns<T, kColumns>(dz, c, last, accumulate, db);
  }
  if constexpr (kColumns > 1) column_sums<T, kColumns - 1>(dz, {c, cols.end}, accumulate, db);
}

// A gradient of one column, which lies in memory as a row does, as the product of that row: many
// columns make better tiles than one. The result has no db: callers sum up dz as it was given.
template <class T>
DenseBackwardWeights<T> in_better_shape(const DenseBackwardWeights<T>& a) {
  if (a.dw.cols != 1 || a.dw.stride != 1) return a;
  return {a.dz, a.x, {a.dw.data, 1, a.dw.rows, a.dw.rows}, nullptr, a.accumulate};
}

template <class T>
void dense_backward_weights(const DenseBackwardWeights<T>& given, Team& team) {
  const DenseBackwardWeights<T> a = in_better_shape(given);
  const Block block = bands_of_rows<T>(a.dw.rows, a.dw.cols, team);
  const Product<T> product{{a.x.data, 1, a.x.stride}, a.dz.rows, a.dw, nullptr, a.accumulate};
  const Straight<T> right{a.dz, block.rows};
  if (a.dw) multiply_block(product, right, block, team, Stored<T>{});
  if (given.db == nullptr) return;
  const Range share = team.share(given.dz.cols, kLineBytes / sizeof(T));
  column_sums(given.dz, share, given.accumulate, given.db);
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
