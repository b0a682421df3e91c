// The weight gradient of a dense layer and the update it is for. The whole gradient never exists: a
// cheap rule takes a tile of it from the registers; others take a stripe of it while that lies in
// a cache.
#pragma once

#include "dense.h"
#include "input_norm.h"
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
  // Products with the rule in their tiles, where the rule is cheap enough for that.
  void (*in_tiles)(const DenseBackwardWeights<T>&, const BlockUpdate&, Block, Team&) = nullptr;

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

template <class R, class T>
void update_tiles(const DenseBackwardWeights<T>& g, const BlockUpdate<T>& update, Block block,
                  Team& team);

template <class T>
BlockUpdate<T>::BlockUpdate(const Update<T>& u, int64_t which, int64_t stride)
    : segment(&u.segments[which]),
      stride(stride),
      around(AroundOf<T>::of(u.around[u.shared_around ? 0 : which])),
      scalars(u.scalars) {
  math::Rules::visit(u.rule, [&](auto rule) {
    using R = decltype(rule);
    if constexpr (!math::kMeasured<R>) {  // those must see whole gradients first
      states = R::kStates;
      padding_stays_zero = onepass::ONEPASS_ISA::padding_stays_zero<R>(
          u.scalars, u.around[u.shared_around ? 0 : which]);
      apply = update_run<R, T>;
      if constexpr (R::kFewOperations) {
        if (around.plain && around.keep == T(1)) in_tiles = update_tiles<R, T>;
      }
    }
  });
}

// Products so shallow cannot hide the update's memory behind their own; a line a step of the depth
// is about what they use up. What is updated must be too much for the first-level cache.
constexpr int64_t kShallow = 64;
constexpr int64_t kFar = int64_t{64} << 10;

// A member's work area for a stripe of the gradient, behind those of the product.
template <class T>
struct Stripe {
  static constexpr int64_t kSize = kStripeBytes / int64_t{sizeof(T)};
  // Four tiles high with a row's padding, which is less than 16 elements.
  static constexpr int64_t kMostCols = kSize / (4 * Packed<T>::kHeight) - 16;
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

// Where stripes of the gradient are computed: in the member's work area; or, where packing wants
// high ones, in the first of the member's own rows of dw, again and again, so that they stay in
// cache.
template <class T>
Matrix<T> stripe_area(const DenseBackwardWeights<T>& g, Block block, int64_t run, bool high,
                      const Team& team) {
  const int64_t width = block.cols.end - block.cols.begin;
  if (high) {
    T* first = g.dw.row(block.rows.begin) + block.cols.begin;
    return {first, Packed<T>::kRows, width, g.dw.stride};
  }
  const Matrix<T> area{Stripe<T>::data(team.scratch), Stripe<T>::rows(run), width, run};
  for (int64_t r = 0; r < area.rows; ++r) {
    for (int64_t c = width; c < run; ++c) area.row(r)[c] = T(0);
  }
  return area;
}

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
    multiply_block(product, Straight<T>(dz, stripe.rows), stripe, team, Stored<T>{});
    if (norm != nullptr) {
      static_assert(Stripe<T>::kMostCols >= kMostNormUnits, "rows of the gradient must be whole");
      const Matrix<const T> w{update.segment->p + r * update.stride, end - r, width, update.stride};
      norm_gradients(*norm, dz, w, {area.data, end - r, width, area.stride}, r);
    }
    update({area.data, stripe.rows.end, run, area.stride}, r, cols.begin, width);
  }
}

// A rule of few operations, with nothing around it, as the end of a tile of the gradient: equal to
// the sweep to the bit.
template <class R, class T>
class InRegisters {
  using S = Simd<T>;
  using V = typename S::V;
  // The compiler's own vectors, on which formulas work as on numbers.
  typedef T Numbers __attribute__((vector_size(S::kWidth * sizeof(T))));

 public:
  static constexpr bool kWholeTiles = true, kJoins = false, kAsks = true;

  explicit InRegisters(const BlockUpdate<T>& u) {
    const auto h = math::hyper_from<R, T>(u.scalars);
    math::each_hyper<R, T, Numbers>(h, h_, all);
    for (int k = 0; k < R::kStates; ++k) state_[k] = u.segment->state[k] - u.segment->p;
  }
  // n: nothing, or the number of columns that there are.
  template <class... N>
  ONEPASS_INLINE void put(T* p, V g, N... n) const {
    Numbers value = (Numbers)S::load(p, n...);
    if constexpr (R::kStates == 0) {
      R::apply(h_, (Numbers)g, value);
    } else {
      T* const state = p + state_[0];
      Numbers m = (Numbers)S::load(state, n...);
      R::apply(h_, (Numbers)g, value, m);
      S::store(state, (V)m, n...);
    }
    S::store(p, (V)value, n...);
  }
  // For a row of a tile NV vectors wide.
  template <int NV>
  ONEPASS_INLINE void ask(const T* p) const {
    for (int v = 0; v < NV; ++v) {
      __builtin_prefetch(p + v * S::kWidth, 1);
      if constexpr (R::kStates > 0) __builtin_prefetch(p + state_[0] + v * S::kWidth, 1);
    }
  }

 private:
  static_assert(R::kStates <= 1);
  static Numbers all(T x) { return Numbers{} + x; }
  typename R::template Hyper<Numbers> h_;
  int64_t state_[R::kStates + 1];  // distances from the parameters
};

// The rows of a block, all in whole tiles.
template <class R, class T>
void update_tiles(const DenseBackwardWeights<T>& g, const BlockUpdate<T>& update, Block block,
                  Team& team) {
  const Range rows = block.rows, cols = block.cols;
  const Block all{{0, rows.end - rows.begin}, {0, cols.end - cols.begin}};
  const Matrix<const T> dz{g.dz.data + cols.begin, g.dz.rows, all.cols.end, g.dz.stride};
  T* const first = update.segment->p + rows.begin * update.stride + cols.begin;
  const Matrix<T> p{first, all.rows.end, all.cols.end, update.stride};
  const Product<T> product{{g.x.data + rows.begin, 1, g.x.stride}, dz.rows, p, nullptr, false};
  multiply_block(product, Straight<T>(dz, all.rows), all, team, InRegisters<R, T>(update));
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
  if (update.in_tiles != nullptr && a.norm == nullptr && !high && g.dz.rows <= Packed<T>::kDepth) {
    const int64_t over = (block.rows.end - block.rows.begin) % Packed<T>::kHeight;
    const Range whole{block.rows.begin, block.rows.end - over};
    update.in_tiles(g, update, {whole, block.cols}, team);
    block.rows.begin = whole.end;
  }
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
