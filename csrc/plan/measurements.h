// What rules ask for over whole tensors before the sweep (math/rules/measured.h), and the sweep of
// each tensor with the numbers that follow from it.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../kernels.h"
#include "../math/rules.h"
#include "../memory.h"

namespace onepass {

template <class T>
class Measurements {
 public:
  explicit Measurements(const Device* device) : partials_(Reachable<double>(device)) {}

  static bool wanted_by(int rule) {
    bool wants = false;
    math::Rules::visit(rule, [&](auto r) { wants = math::kMeasured<decltype(r)>; });
    return wants;
  }

  // For so many blocks of kNormBlock elements.
  void resize(std::size_t blocks) { partials_.resize(2 * blocks); }

  // Adds up over each segment; a barrier must come before anything else. Nothing if the rule has no
  // use for it.
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

  // Of a tensor of this size: the sums of partial[2 b] and of partial[2 b + 1], see Measure.
  struct Sums {
    double first = 0.0, second = 0.0;
  };
  Sums of(int64_t size, int64_t first_block) const {
    Sums sums;
    const int64_t end = first_block + (size + kNormBlock - 1) / kNormBlock;
    for (int64_t b = first_block; b < end; ++b) {
      sums.first += partials_[2 * b];
      sums.second += partials_[2 * b + 1];
    }
    return sums;
  }

  // The sweep. Every member turns the sums into a tensor's numbers for itself, alike.
  void update(const Update<T>& all, const int64_t* first_blocks, math::StepTime at,
              const KernelTable<T>& table, Team& team) const {
    bool scaled = false;
    math::Rules::visit(all.rule, [&](auto rule) {
      using R = decltype(rule);
      scaled = math::kScaled<R>;
      if constexpr (math::kScaled<R>) {
        for (int64_t k = 0; k < all.n_segments; ++k) {
          Update<T> one = all;
          one.segments = all.segments + k;
          one.n_segments = 1;
          if (!all.shared_around) one.around = all.around + k;
          if (all.beside != nullptr) one.beside = all.beside + k;
          const Sums sums = of(all.segments[k].size, first_blocks[k]);
          R::scale({std::sqrt(sums.first), std::sqrt(sums.second), one.around->l2}, at,
                   one.scalars);
          table.update(one, team);
        }
      }
    });
    if (!scaled) table.update(all, team);
  }

 private:
  ReachableVector<double> partials_;
};

}  // namespace onepass
