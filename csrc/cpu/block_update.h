// The update of blocks of a tensor as their gradient is computed: from stripes of it that lie in a
// cache, or from the registers of its tiles.
#pragma once

#include <type_traits>

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
  // Products with the rule in their tiles, where the rule is cheap enough for that.
  void (*in_tiles)(const DenseBackwardWeights<T>&, const BlockUpdate&, Block, Team&) = nullptr;
  bool plain_sgd = false;  // the parameters less the gradient times a number

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
        if (around.plain && around.keep == T(1)) {
          in_tiles = update_tiles<R, T>;
          plain_sgd = std::is_same_v<R, math::Sgd>;
        }
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

// A rule of few operations, with nothing around it, as the end of a tile of the gradient: equal to
// the sweep to the bit.
template <class R, class T>
class InRegisters {
  using S = Simd<T>;
  using V = typename S::V;
  // The compiler's own vectors, on which formulas work as on numbers.
  typedef T Numbers __attribute__((vector_size(S::kWidth * sizeof(T))));

 public:
  static constexpr bool kWholeTiles = true, kJoins = false, kAsks = true, kTakesRows = false;

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

}  // namespace
}  // namespace onepass::ONEPASS_ISA
