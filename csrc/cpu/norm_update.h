// Plain gradient descent of the layer behind a batch norm on the input: sums for that norm's
// gradients are taken in the tiles of the weight gradient, which updates the weights there, so that
// neither is read again. (For rules that take stripes of the gradient this gained nothing.)
#pragma once

#include "block_update.h"
#include "input_norm.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Rows whose dots, with a panel's operands, stay in the first cache.
constexpr int64_t kDottedRows = 64;

// The end of a tile of the gradient: it joins its rows' dots with the weights as they were, then
// updates them.
template <class T>
class WithDots : public InRegisters<math::Sgd, T> {
  using S = Simd<T>;
  using V = typename S::V;

 public:
  static constexpr bool kTakesRows = true;

  // `db` of the panel, `dots` of the call's first row.
  WithDots(const BlockUpdate<T>& u, const T* db, T* dots)
      : InRegisters<math::Sgd, T>(u), db_(db), dots_(dots) {}

  // A tile's row, NV vectors from `w` on; of the last one `n` columns if Part.
  template <bool Part, int NV>
  ONEPASS_INLINE void put_row(int64_t row, T* w, const V (&g)[NV], int n) const {
    T* const dots = dots_ + row * RowDots<T, 1>::kRow;
    V with_dw = S::load(dots), with_db = S::load(dots + S::kWidth);
    const auto add = [&](int v, auto... some) __attribute__((always_inline)) {
      const V weights = S::load(w + v * S::kWidth, some...);
      with_dw = S::fma(weights, g[v], with_dw);
      with_db = S::fma(weights, S::load(db_ + v * S::kWidth, some...), with_db);
      this->put(w + v * S::kWidth, g[v], some...);
    };
    ONEPASS_UNROLL(24)
    for (int v = 0; v + 1 < NV; ++v) add(v);
    if constexpr (Part) {
      add(NV - 1, n);
    } else {
      add(NV - 1);
    }
    S::store(dots, with_dw);
    S::store(dots + S::kWidth, with_db);
  }

 private:
  const T* db_;
  T* dots_;
};

// A member's whole rows of the weights, in whole tiles, from the last to the first. Only panels of
// two and three vectors, and x where it lies: other cases would be more products to compile.
template <class T>
bool updates_below_norm(const DenseBackwardWeights<T>& g, const BlockUpdate<T>& update) {
  return Simd<T>::kVectors == 3 && update.plain_sgd && g.dw.cols > Packed<T>::kCols &&
         g.dz.rows < kShallow;
}
template <class T>
void update_below_norm(const DenseBackwardWeights<T>& g, const BlockUpdate<T>& update,
                       const InputNorm<T>& norm, Range rows) {
  if constexpr (Simd<T>::kVectors == 3) {
    constexpr int64_t height = Packed<T>::kHeight, width = Simd<T>::kWidth;
    const Matrix<T> w{update.segment->p, g.dw.rows, g.dw.cols, update.stride};
    const int64_t panels = panels_of<T>(w.cols, Simd<T>::kVectors);
    static_assert(kDottedRows % height == 0 && kDottedRows % width == 0);
    RowDots<T, kDottedRows> dots;
    Ahead<T> none;
    for (int64_t end = rows.end; end > rows.begin; end -= kDottedRows) {
      const int64_t r = end - kDottedRows > rows.begin ? end - kDottedRows : rows.begin;
      norm_gradients_by_samples(norm, g.dz, {w.row(r), end - r, w.cols, w.stride}, r);
      __builtin_memset(dots.at, 0, sizeof dots.at);
      for (int64_t i = 0; i < panels; ++i) {
        const Range cols = panel_of<T>(w.cols, i, panels);
        TileCall<T> call{};
        call.a = {g.x.data + r, 1, g.x.stride};
        call.a_step = height;
        call.b = {g.dz.data + cols.begin, g.dz.stride};
        call.depth = g.dz.rows;
        call.cols = static_cast<int>(cols.end - cols.begin);
        call.tiles = static_cast<int>((end - r) / height);
        call.to = {w.row(r) + cols.begin, w.stride};
        call.next = w.row(r) + (i + 1 < panels ? cols.end : cols.begin);
        call.ahead = &none;
        const WithDots<T> last(update, norm.db + cols.begin, dots.at);
        call.cols > 2 * width ? multiply_vectors<T, height, 3, false, false>(call, last)
                              : multiply_vectors<T, height, 2, false, false>(call, last);
      }
      norm_gradients_by_dots(norm, dots.at, r, end - r);
    }
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
