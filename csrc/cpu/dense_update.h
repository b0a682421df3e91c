// The weight gradient of a dense layer and the update it is for, in one pass: a tile of the
// gradient is used up while it lies in the first cache, and never written to memory.
#pragma once

#include "dense.h"
#include "sweep.h"

namespace onepass::ONEPASS_ISA {
namespace {

// Applies the rule to a run of parameters whose gradient is at `g`. One function a rule, reached
// through a pointer, so that the walk over tiles exists once for all rules.
template <class T>
struct RunUpdate {
  const Segment<T>* segment;
  AroundOf<T> around;
  const double* scalars;
  int states;
  void (*apply)(const RunUpdate&, int64_t offset, const T* g, int64_t n);
};

template <class R, class T>
void apply_rule(const RunUpdate<T>& u, int64_t offset, const T* g, int64_t n) {
  const auto h = math::hyper_from<R, T>(u.scalars);
  const Segment<T>& s = *u.segment;
  const auto state = [&](int k) { return R::kStates > k ? s.state[k] + offset : nullptr; };
  sweep_run<R, T>(h, u.around, s.p + offset, g, state(0), state(1), state(2), state(3), n);
}

template <class T>
RunUpdate<T> run_update_of(const Update<T>& u, int64_t segment) {
  RunUpdate<T> run{&u.segments[segment], AroundOf<T>::of(u.around[u.shared_around ? 0 : segment]),
                   u.scalars, 0, nullptr};
  math::Rules::visit(u.rule, [&](auto rule) {
    using R = decltype(rule);
    run.states = R::kStates;
    run.apply = apply_rule<R, T>;
  });
  return run;
}

// What becomes of a tile of the gradient. The parameters and states under the tile are fetched
// while it is computed.
template <class T>
struct UpdateTile {
  RunUpdate<T> run;
  int64_t stride;  // of the parameters' rows: the segment may know them as one long row

  ONEPASS_INLINE int64_t offset(int64_t r, int64_t c) const { return r * stride + c; }

  void before(int64_t r, int64_t c, int rows, int cols) const {
    constexpr int line = kLineBytes / sizeof(T);
    for (int i = 0; i < rows; ++i) {
      const int64_t at = offset(r + i, c);
      for (int j = 0; j < cols; j += line) {
        __builtin_prefetch(run.segment->p + at + j, 1);
        for (int k = 0; k < run.states; ++k) __builtin_prefetch(run.segment->state[k] + at + j, 1);
      }
    }
  }
  void operator()(const Tile<T>& tile, int64_t r, int64_t c, int cols) const {
    for (int i = 0; i < tile.rows; ++i) run.apply(run, offset(r + i, c), tile.row(i), cols);
  }
};

template <class T>
void dense_update(const DenseUpdate<T>& a, Team& team) {
  const DenseBackwardWeights<T>& g = a.gradient;
  const Block block = split<T>(g.dw.rows, g.dw.cols, team);
  const Product<T> product{{g.x.data, 1, g.x.stride}, g.dz.rows, g.dw, nullptr, false};
  const Straight<T> right{g.dz, block.rows};
  multiply_block(product, right, block, team, UpdateTile<T>{run_update_of(a.update, 0), g.dw.stride});
  if (g.db == nullptr) return;
  const Range cols = team.share(g.dz.cols, kLineBytes / sizeof(T));
  if (cols.begin == cols.end) return;
  column_sums(g.dz, cols, false, g.db);
  const RunUpdate<T> bias = run_update_of(a.update, 1);
  bias.apply(bias, cols.begin, g.db + cols.begin, cols.end - cols.begin);
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
