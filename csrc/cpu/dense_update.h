// The weight gradient of a dense layer and the update it is for, stripe by stripe: a stripe of the
// gradient is used up while it lies in the second-level cache, and never written to memory.
#pragma once

#include "dense.h"
#include "sweep.h"

namespace onepass::ONEPASS_ISA {
namespace {

// The update of blocks of a tensor. The rule is reached through a pointer, so that the products
// exist once for all rules.
template <class T>
struct BlockUpdate {
  const Segment<T>* segment;
  int64_t stride;  // of the parameters' rows: the segment may know them as one long row
  AroundOf<T> around;
  const double* scalars;
  int states = 0;
  bool padding_stays_zero = false;
  void (*apply)(const BlockUpdate&, const T* g, int64_t at, int64_t n) = nullptr;

  BlockUpdate(const Update<T>& u, int64_t which, int64_t stride);

  // The rows from (r, c) on, `n` elements of each.
  Fetch<T> fetch(int64_t r, int64_t c, int64_t n) const {
    const T* at = segment->p + r * stride + c;
    const auto distance = [&](int k) { return states > k ? segment->state[k] - segment->p : 0; };
    return {at, distance(0), distance(1), at + n, stride - n, stride};
  }
  // `g` is the gradient of the block whose first element is (r, c); of its columns `real` are, the
  // others are padding, with a gradient of 0. Whole rows are one run.
  void operator()(Matrix<const T> g, int64_t r, int64_t c, int64_t real) const {
    const int64_t first = r * stride + c;
    if (g.cols == stride && g.stride == stride) {
      apply(*this, g.data, first, g.rows * stride);
    } else {
      for (int64_t i = 0; i < g.rows; ++i) apply(*this, g.row(i), first + i * stride, g.cols);
    }
    if (real == g.cols || padding_stays_zero) return;
    for (int64_t i = 0; i < g.rows; ++i) {
      for (int64_t j = first + i * stride + real; j < first + i * stride + g.cols; ++j) {
        segment->p[j] = T(0);
        for (int k = 0; k < states; ++k) segment->state[k][j] = T(0);
      }
    }
  }
};

template <class R, class T>
void update_run(const BlockUpdate<T>& u, const T* g, int64_t at, int64_t n) {
  const auto h = math::hyper_from<R, T>(u.scalars);
  const Segment<T>& s = *u.segment;
  const auto state = [&](int k) { return R::kStates > k ? s.state[k] + at : nullptr; };
  sweep_run<R, T>(h, u.around, s.p + at, g, state(0), state(1), state(2), state(3), n);
}

template <class T>
BlockUpdate<T>::BlockUpdate(const Update<T>& u, int64_t which, int64_t stride)
    : segment(&u.segments[which]),
      stride(stride),
      around(AroundOf<T>::of(u.around[u.shared_around ? 0 : which])),
      scalars(u.scalars) {
  math::Rules::visit(u.rule, [&](auto rule) {
    using R = decltype(rule);
    states = R::kStates;
    padding_stays_zero = onepass::ONEPASS_ISA::padding_stays_zero<R>(
        u.scalars, u.around[u.shared_around ? 0 : which]);
    apply = update_run<R, T>;
  });
}

// Products so shallow cannot hide the update's memory behind their own; a line a step of the depth
// is about what they use up.
constexpr int64_t kShallow = 64;

// A member's work area for a stripe of the gradient, behind those of the product.
template <class T>
struct Stripe {
  static constexpr int64_t kSize = kStripeBytes / int64_t{sizeof(T)};
  static constexpr int64_t kMostCols = kSize / (4 * Packed<T>::kHeight);
  static constexpr int64_t kUsual = kSize * 3 / 8;  // leaves room in the cache for what is updated

  static T* data(void* scratch) {
    return reinterpret_cast<T*>(static_cast<char*>(scratch) + kScratchBytes - kStripeBytes);
  }
  // At least four tiles high, so that packing pays.
  static int64_t rows(int64_t stride) {
    constexpr int64_t height = Packed<T>::kHeight;
    const int64_t usual = kUsual / stride / height * height;
    return usual > 4 * height ? usual : 4 * height;
  }
};

template <class T>
void update_columns(const DenseBackwardWeights<T>& g, const BlockUpdate<T>& update, Range rows,
                    Range cols, Team& team) {
  const int64_t width = cols.end - cols.begin;
  // The padding at a row's end is updated with it: runs without rests.
  const int64_t stride = cols.end == g.dw.cols ? g.dw.stride - cols.begin : width;
  const int64_t step = Stripe<T>::rows(stride);
  const Matrix<T> area{Stripe<T>::data(team.scratch), step, width, stride};
  for (int64_t r = 0; r < step; ++r) {
    for (int64_t c = width; c < stride; ++c) area.row(r)[c] = T(0);
  }
  const Matrix<const T> dz{g.dz.data + cols.begin, g.dz.rows, width, g.dz.stride};
  // From the last stripe to the first: the forward product has just read the last rows, and will
  // read the first ones next.
  for (int64_t end = rows.end; end > rows.begin; end -= step) {
    const int64_t r = end - step > rows.begin ? end - step : rows.begin;
    const Block block{{0, end - r}, {0, width}};
    Fetch<T> fetch = update.fetch(r, cols.begin, stride);
    const Product<T> product{{g.x.data + r, 1, g.x.stride},         dz.rows, area, nullptr, false,
                             dz.rows <= kShallow ? &fetch : nullptr};
    multiply_block(product, Straight<T>(dz, block.rows), block, team, Direct{});
    update({area.data, block.rows.end, stride, stride}, r, cols.begin, width);
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
  const DenseBackwardWeights<T>& g = a.gradient;
  const Block block = bands_of_rows<T>(g.dw.rows, g.dw.cols, team);
  const BlockUpdate<T> update(a.update, 0, g.dw.stride);
  for (int64_t c = block.cols.begin; c < block.cols.end; c += Stripe<T>::kMostCols) {
    const int64_t end = c + Stripe<T>::kMostCols;
    update_columns(g, update, block.rows, {c, end < block.cols.end ? end : block.cols.end}, team);
  }
  if (g.db == nullptr) return;
  const BlockUpdate<T> bias(a.update, 1, 0);
  const Range share = team.share(g.dz.cols, kLineBytes / sizeof(T));
  for (int64_t c = share.begin; c < share.end; c += Stripe<T>::kMostCols) {
    const int64_t end = c + Stripe<T>::kMostCols;
    update_bias(g.dz, bias, {c, end < share.end ? end : share.end}, team);
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
