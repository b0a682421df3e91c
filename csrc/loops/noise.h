// Random words of the units of a batch, drawn again wherever they are needed: nothing is stored.
#pragma once

#include "words.h"

namespace onepass::ONEPASS_ISA {
namespace {

// A member's rows.
template <class T>
ONEPASS_LOOP Block rows_of_member(Matrix<T> y, const Team& team) {
  return {team.share(y.rows, 1), {0, y.cols}};
}

// Calls f(r, c, n, skip, group, place) for each run of n units of a block of y that lie in one
// group, `skip` units behind its beginning; it begins at (r, c). The columns of row r of a sample
// are its units r * cols and on.
template <class T, class F>
ONEPASS_DEVICE void for_runs_of_units(Matrix<T> y, int64_t first, int64_t rows_per_sample,
                                      Block block, F&& f) {
  const int64_t end = block.cols.end;
  for (int64_t r = block.rows.begin; r < block.rows.end; ++r) {
    const int64_t sample = r / rows_per_sample;
    const auto place = static_cast<uint32_t>(first + sample);
    const int64_t first_unit = (r - sample * rows_per_sample) * y.cols;
    for (int64_t c = block.cols.begin; c < end;) {
      const int64_t unit = first_unit + c;
      const int64_t skip = unit % math::kPhiloxGroup;
      const int64_t left = math::kPhiloxGroup - skip;
      const int64_t n = end - c < left ? end - c : left;
      f(r, c, n, skip, static_cast<uint32_t>(unit / math::kPhiloxGroup), place);
      c += n;
    }
  }
}

// The same for arguments with x, y, first and rows_per_sample: f(x, y, n, skip, group, place).
template <class A, class F>
ONEPASS_DEVICE void for_units(const A& a, Block block, F&& f) {
  for_runs_of_units(
      a.y, a.first, a.rows_per_sample, block,
      [&](int64_t r, int64_t c, int64_t n, int64_t skip, uint32_t group, uint32_t place)
          ONEPASS_FLAT { f(a.x.row(r) + c, a.y.row(r) + c, n, skip, group, place); });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
