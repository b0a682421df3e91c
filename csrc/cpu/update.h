// A step of an optimizer: the sweep of each member's part of each segment.
#pragma once

#include "sweep.h"
#include "sweep_beside.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class R, class T>
bool pays_to_fetch(const Update<T>& u, const Team& team) {
  int64_t held = 0;
  for (int64_t k = 0; k < u.n_segments; ++k) held += u.segments[k].size;
  held *= (2 + R::kStates) * static_cast<int64_t>(sizeof(T));
  return held > kFetchFrom * team.size && held < kFetchTo;
}

template <class T>
void update(const Update<T>& u, Team& team) {
  math::Rules::visit(u.rule, [&](auto rule) {
    using R = decltype(rule);
    const auto h = math::hyper_from<R, T>(u.scalars);
    constexpr int64_t fetched = (2 * kFetchedLines + kFetchAhead) * kLine / sizeof(T);
    int fetch = -1;  // not known: short sweeps ask for nothing
    AroundOf<T> a{};
    for (int64_t k = 0; k < u.n_segments; ++k) {
      const Segment<T>& segment = u.segments[k];
      const Around& around = u.around[u.shared_around ? 0 : k];
      if (k == 0 || !u.shared_around) a = AroundOf<T>::of(around);
      const Range range = share_of(segment, k, team);
      if (range.begin == range.end) continue;
      if (fetch < 0 && range.end - range.begin >= fetched) fetch = pays_to_fetch<R>(u, team);
      if (u.beside != nullptr) {
        const auto step = [&](const Segment<T>& b, int64_t) {
          sweep_run<R, T>(h, a, b.p, b.g, b.state[0], b.state[1], b.state[2], b.state[3], b.size);
        };
        sweep_beside(segment, u.beside[k], u.beyond, range, step);
      } else if (a.plain) {
        sweep<R, T, true>(h, a, segment, range, fetch > 0);
      } else {
        sweep<R, T, false>(h, a, segment, range, fetch > 0);
      }
      if (segment.cols != segment.stride && !padding_stays_zero<R>(u.scalars, around)) {
        clear_padding(segment, R::kStates, range);
      }
    }
  });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
