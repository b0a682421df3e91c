// Steps that are scaled by norms of whole tensors: the measuring before the sweep, and the sweep of
// each tensor with its own numbers. See math/rules/scaled.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../kernels.h"
#include "../math/rules.h"

namespace onepass {

template <class T>
class TensorScales {
 public:
  static bool measures(int rule) {
    bool does = false;
    math::Rules::visit(rule, [&](auto r) { does = math::kMeasured<decltype(r)>; });
    return does;
  }

  // For so many blocks of kNormBlock elements.
  void resize(std::size_t blocks) { partials_.resize(2 * blocks); }

  // The sums of each segment; a barrier must come before `update`. Nothing if the rule has none.
  void take(const Update<T>& all, const int64_t* first_blocks, const KernelTable<T>& table,
            Team& team) {
    math::Rules::visit(all.rule, [&](auto rule) {
      using R = decltype(rule);
      if constexpr (math::kMeasured<R>) {
        for (int64_t k = 0; k < all.n_segments; ++k) {
          Around around = all.around[all.shared_around ? 0 : k];
          if (R::kDecayApart) around.l2 = 0.0;
          table.measure({all.rule, all.segments[k], all.scalars, around,
                         all.beside == nullptr ? nullptr : &all.beside[k], all.beyond.adds,
                         partials_.data() + 2 * first_blocks[k]},
                        team);
        }
      }
    });
  }

  // Every member adds the sums up for itself, alike.
  void update(const Update<T>& all, const int64_t* first_blocks, math::StepTime at,
              const KernelTable<T>& table, Team& team) const {
    math::Rules::visit(all.rule, [&](auto rule) {
      using R = decltype(rule);
      if constexpr (math::kMeasured<R>) {
        for (int64_t k = 0; k < all.n_segments; ++k) {
          Update<T> one = all;
          one.segments = all.segments + k;
          one.n_segments = 1;
          if (!all.shared_around) one.around = all.around + k;
          if (all.beside != nullptr) one.beside = all.beside + k;
          R::scale(norms_of(all.segments[k].size, first_blocks[k], one.around->l2), at,
                   one.scalars);
          table.update(one, team);
        }
      }
    });
  }

 private:
  math::TensorNorms norms_of(int64_t size, int64_t first_block, double decay) const {
    double p = 0.0, measured = 0.0;
    const int64_t end = first_block + (size + kNormBlock - 1) / kNormBlock;
    for (int64_t b = first_block; b < end; ++b) {
      p += partials_[2 * b];
      measured += partials_[2 * b + 1];
    }
    return {std::sqrt(p), std::sqrt(measured), decay};
  }

  std::vector<double> partials_;
};

}  // namespace onepass
