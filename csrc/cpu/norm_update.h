// The layer behind a batch norm on the input: sums for that norm's gradients are taken in the tiles
// of the weight gradient, so that neither it nor the weights are read again for them.
#pragma once

#include "block_update.h"
#include "input_norm.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Rows whose dots, with a panel's operands, stay in the first cache.
constexpr int64_t kDottedRows = 64;

// The end of a tile of the gradient: it joins its rows' dots with the weights as they were, before
// Last stores it or updates these weights with it.
template <class T, class Last>
class WithDots : public Last {
  using S = Simd<T>;
  using V = typename S::V;
  static constexpr bool kUpdates = !std::is_same_v<Last, Stored<T>>;

 public:
  static constexpr bool kWholeTiles = true, kTakesRows = true;

  // The panel's weights and `db`, and `dots`, from the call's first row on.
  WithDots(const Last& last, Right<T> w, const T* db, T* dots)
      : Last(last), w_(w), db_(db), dots_(dots) {}

  // A tile's row, NV vectors of it; of the last one `n` columns if Part.
  template <bool Part, int NV>
  ONEPASS_INLINE void put_row(int64_t row, T* to, const V (&g)[NV], int n) const {
    const T* const w = kUpdates ? to : w_.data + row * w_.stride;
    T* const dots = dots_ + row * RowDots<T, 1>::kRow;
    V with_dw = S::load(dots), with_db = S::load(dots + S::kWidth);
    const auto add = [&](int v, auto... some) __attribute__((always_inline)) {
      const V weights = S::load(w + v * S::kWidth, some...);
      with_dw = S::fma(weights, g[v], with_dw);
      with_db = S::fma(weights, S::load(db_ + v * S::kWidth, some...), with_db);
      this->put(to + v * S::kWidth, g[v], some...);
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
  Right<T> w_;
  const T* db_;
  T* dots_;
};

// Whether there are products with dots for this gradient. Only for panels of two and three vectors,
// and x where it lies: other cases would be more products to compile.
template <class T>
bool takes_dots(const DenseBackwardWeights<T>& g) {
  return Simd<T>::kVectors == 3 && g.dw.cols > Packed<T>::kCols && g.dz.rows < kShallow;
}

// Rows of the gradient from `first` on, those of the weights `w`, in whole tiles: each ends as Last
// says, in `to`. `fetch` is asked for meanwhile if Ask.
template <class T, bool Ask, class Last>
void multiply_with_dots(const DenseBackwardWeights<T>& g, Matrix<const T> w, Matrix<T> to,
                        const InputNorm<T>& norm, int64_t first, Fetch<T>* fetch,
                        const Last& last) {
  if constexpr (Simd<T>::kVectors == 3) {
    constexpr int64_t height = Packed<T>::kHeight, width = Simd<T>::kWidth;
    static_assert(kDottedRows % height == 0 && kDottedRows % width == 0);
    const int64_t panels = panels_of<T>(w.cols, Simd<T>::kVectors);
    RowDots<T, kDottedRows> dots;
    Ahead<T> none;
    for (int64_t end = w.rows; end > 0; end -= kDottedRows) {
      const int64_t r = end - kDottedRows > 0 ? end - kDottedRows : 0;
      norm_gradients_by_samples(norm, g.dz, {w.row(r), end - r, w.cols, w.stride}, first + r);
      __builtin_memset(dots.at, 0, sizeof dots.at);
      for (int64_t i = 0; i < panels; ++i) {
        const Range cols = panel_of<T>(w.cols, i, panels);
        TileCall<T> call{};
        call.a = {g.x.data + first + r, 1, g.x.stride};
        call.a_step = height;
        call.b = {g.dz.data + cols.begin, g.dz.stride};
        call.depth = g.dz.rows;
        call.cols = static_cast<int>(cols.end - cols.begin);
        call.tiles = static_cast<int>((end - r) / height);
        call.to = {to.row(r) + cols.begin, to.stride};
        call.next = to.row(r) + (i + 1 < panels ? cols.end : cols.begin);
        call.fetch = fetch;
        call.ahead = &none;
        const WithDots<T, Last> with(last, {w.row(r) + cols.begin, w.stride}, norm.db + cols.begin,
                                     dots.at);
        call.cols > 2 * width ? multiply_vectors<T, height, 3, false, Ask>(call, with)
                              : multiply_vectors<T, height, 2, false, Ask>(call, with);
      }
      norm_gradients_by_dots(norm, dots.at, first + r, end - r);
    }
  }
}

// Plain gradient descent of a member's whole rows of the weights, in whole tiles: they are updated
// there, too.
template <class T>
void update_below_norm(const DenseBackwardWeights<T>& g, const BlockUpdate<T>& update,
                       const InputNorm<T>& norm, Range rows) {
  const Matrix<T> w{update.segment->p + rows.begin * update.stride, rows.end - rows.begin,
                    g.dw.cols, update.stride};
  multiply_with_dots<T, false>(g, read_only(w), w, norm, rows.begin, nullptr,
                               InRegisters<math::Sgd, T>(update));
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
