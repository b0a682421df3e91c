// Inverted dropout and alpha dropout: elements are replaced at random and the others scaled. The
// mask is never stored: the backward pass draws it again.
#pragma once

#include "../math/dropout.h"
#include "noise.h"

namespace onepass::ONEPASS_ISA {
namespace {

// An element is dropped where its word is below this.
ONEPASS_DEVICE uint64_t drop_below(double rate) {
  const double words = rate * 4294967296.0 + 0.5;
  return words < 0.0 ? 0 : static_cast<uint64_t>(words);
}

template <class T>
ONEPASS_LOOP void drop(const Dropout<T>& a, Block block) {
  const uint64_t below = drop_below(a.rate);
  const bool drops = below > 0;
  const auto last_dropped = static_cast<uint32_t>(drops ? below - 1 : 0);
  const math::Dropping d = math::dropping(a.rate, a.alpha, a.gradient);
  const T scale = static_cast<T>(d.scale), shift = static_cast<T>(d.shift),
          dropped = static_cast<T>(d.dropped);
  for_units(
      a, block,
      [&](const T* x, T* y, int64_t n, int64_t skip, uint32_t group, uint32_t place) ONEPASS_FLAT {
        const GroupWords words = words_of_group(a.key, group, place);
        const auto value = [&](int64_t i, uint32_t word) ONEPASS_FLAT {
          return drops && word <= last_dropped ? dropped : x[i] * scale + shift;
        };
        if (a.accumulate) {
          for_units_of(words, skip, n,
                       [&](int64_t i, uint32_t word) ONEPASS_FLAT { y[i] += value(i, word); });
        } else {
          for_units_of(words, skip, n,
                       [&](int64_t i, uint32_t word) ONEPASS_FLAT { y[i] = value(i, word); });
        }
      });
}

template <class T>
ONEPASS_LOOP void dropout(const Dropout<T>& a, Team& team) {
  drop(a, rows_of_member(a.y, team));
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
