// The weight gradient of a dense layer and the update it is for. The whole gradient never exists: a
// cheap rule takes a tile of it from the registers; others take a stripe of it while that lies in
// a cache.
#pragma once

#include "norm_update.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
void update_block(const DenseBackwardWeights<T>& g, const BlockUpdate<T>& update,
                  const InputNorm<T>* norm, Block block, bool high, Team& team) {
  const Range rows = block.rows, cols = block.cols;
  const int64_t width = cols.end - cols.begin;
  // The padding at a row's end is updated with it: runs without rests.
  const int64_t run = cols.end == g.dw.cols ? g.dw.stride - cols.begin : width;
  const Matrix<T> area = stripe_area(g, block, run, high, team);
  const Matrix<const T> dz{g.dz.data + cols.begin, g.dz.rows, width, g.dz.stride};
  const int64_t updated = update.segment->size * (1 + update.states) * int64_t{sizeof(T)};
  const bool far = dz.rows <= kShallow && updated > kFar;
  // From the last stripe to the first: the forward product has just read the last rows, and will
  // read the first ones next.
  for (int64_t end = rows.end; end > rows.begin; end -= area.rows) {
    const int64_t r = end - area.rows > rows.begin ? end - area.rows : rows.begin;
    const Block stripe{{0, end - r}, {0, width}};
    Fetch<T> fetch = update.fetch(r, cols.begin, run);
    const Product<T> product{{g.x.data + r, 1, g.x.stride}, dz.rows, area, nullptr, false,
                             far ? &fetch : nullptr};
    static_assert(Stripe<T>::kMostCols >= kMostNormUnits, "a norm needs whole rows");
    const Matrix<T> dw{area.data, end - r, width, area.stride};
    const Matrix<const T> w{update.segment->p + r * update.stride, end - r, width, update.stride};
    if (norm != nullptr && far && !high && takes_dots(g) && (end - r) % Packed<T>::kHeight == 0) {
      multiply_with_dots<T, true>(g, w, dw, *norm, r, &fetch, Stored<T>{});
    } else {
      multiply_block(product, Straight<T>(dz, stripe.rows), stripe, team, Stored<T>{});
      if (norm != nullptr) norm_gradients(*norm, dz, w, read_only(dw), r);
    }
    update({area.data, stripe.rows.end, run, area.stride}, r, cols.begin, width);
  }
}

template <class T>
void update_bias(const Matrix<const T> dz, const BlockUpdate<T>& update, Range cols, Team& team) {
  const int64_t width = cols.end - cols.begin;
  if (width == 0) return;
  T* sums = Stripe<T>::data(team.scratch) - cols.begin;
  column_sums(dz, cols, false, sums);
  update({sums + cols.begin, 1, width, width}, 0, cols.begin, width);
}

template <class T>
void dense_update(const DenseUpdate<T>& a, Team& team) {
  const DenseBackwardWeights<T> g = in_better_shape(a.gradient);
  Block block = bands_of_rows<T>(g.dw.rows, g.dw.cols, team);
  // Gradients of a norm are sums over whole rows.
  if (a.norm != nullptr) block = {team.share(g.dw.rows, Packed<T>::kHeight), {0, g.dw.cols}};
  const BlockUpdate<T> update(a.update, 0, g.dw.stride);
  const bool high = Straight<T>(g.dz, {0, Packed<T>::kRows}).pack;
  const int64_t over = (block.rows.end - block.rows.begin) % Packed<T>::kHeight;
  const Block whole{{block.rows.begin, block.rows.end - over}, block.cols};
  bool in_tiles = false;
  if (a.norm != nullptr) {
    in_tiles = !high && update.plain_sgd && takes_dots(g);
    if (in_tiles) update_below_norm(g, update, *a.norm, whole.rows);
  } else {
    in_tiles = !high && update.in_tiles != nullptr && g.dz.rows <= Packed<T>::kDepth;
    if (in_tiles) update.in_tiles(g, update, whole, team);
  }
  if (in_tiles) block.rows.begin = whole.rows.end;
  const int64_t step = high ? g.dw.cols : Stripe<T>::kMostCols;
  for (int64_t c = block.cols.begin; c < block.cols.end; c += step) {
    const Range cols{c, c + step < block.cols.end ? c + step : block.cols.end};
    update_block(g, update, a.norm, {block.rows, cols}, high, team);
  }
  if (a.gradient.db == nullptr) return;
  const BlockUpdate<T> bias(a.update, 1, 0);
  const Range share = team.share(a.gradient.dz.cols, kLineBytes / sizeof(T));
  for (int64_t c = share.begin; c < share.end; c += Stripe<T>::kMostCols) {
    const int64_t end = c + Stripe<T>::kMostCols;
    update_bias(a.gradient.dz, bias, {c, end < share.end ? end : share.end}, team);
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
