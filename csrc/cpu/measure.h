// Sums over whole tensors for the rules that need them: squares, or products with the gradient.
#pragma once

#include "reduce.h"

namespace onepass::ONEPASS_ISA {
namespace {

// A member's work areas: the gradient of a block, its parameters, what is measured.
template <class T>
struct MeasureAreas {
  T *g, *p, *measured;

  explicit MeasureAreas(const Team& team)
      : g(static_cast<T*>(team.scratch)), p(g + kNormBlock), measured(p + kNormBlock) {
    static_assert(3 * kNormBlock * sizeof(T) <= kScratchBytes);
  }
};

template <class R, class T>
ONEPASS_INLINE void measure_block(typename R::template Hyper<T> h, AroundOf<T> a,
                                  const T* __restrict g, const T* __restrict s0,
                                  const T* __restrict s1, T* __restrict p, T* __restrict measured,
                                  int64_t n) {
  ONEPASS_IVDEP
  for (int64_t i = 0; i < n; ++i) {
    T value = p[i], m1{};
    if constexpr (R::kStates > 1) m1 = s1[i];
    measured[i] = measure_one<R>(h, a, g[i], value, s0[i], m1);
    p[i] = value;
  }
}

template <class T>
void clear_measured_padding(const Segment<T>& s, int64_t at, int64_t n, T* measured) {
  if (s.cols == s.stride) return;
  for (int64_t i = 0; i < n; ++i) {
    if ((at + i) % s.stride >= s.cols) measured[i] = T(0);
  }
}

template <class T>
void read_parameters(const Measure<T>& m, int64_t at, int64_t n, T* to) {
  if (m.segment.p != nullptr) {
    convert_run(to, m.segment.p + at, n, [](T x) { return x; });
  } else {
    read_numbers(m.beside->p, m.beside->p_number, at, n, to);
  }
}

template <class R, class T>
void measure_with(const Measure<T>& m, Team& team) {
  const Segment<T>& s = m.segment;
  const auto h = math::hyper_from<R, T>(m.scalars);
  const AroundOf<T> around = AroundOf<T>::of(m.around);
  const MeasureAreas<T> areas(team);
  const Range share = team.share((s.size + kNormBlock - 1) / kNormBlock, 1);
  for (int64_t b = share.begin; b < share.end; ++b) {
    const int64_t at = b * kNormBlock, left = s.size - at;
    const int64_t n = left < kNormBlock ? left : kNormBlock;
    const T* g =
        m.beside == nullptr ? s.g + at : gradient_block(s.g, *m.beside, m.adds, at, n, areas.g);
    if (math::kScaled<R> || around.l2 != T(0)) read_parameters(m, at, n, areas.p);
    const auto state = [&](int k) { return R::kStates > k ? s.state[k] + at : nullptr; };
    measure_block<R, T>(h, around, g, state(0), state(1), areas.p, areas.measured, n);
    clear_measured_padding(s, at, n, areas.measured);
    if constexpr (math::kLearnsRate<R>) {
      m.partial[2 * b] = products_of(areas.p, areas.measured, n);
    } else {
      m.partial[2 * b] = squares_of(areas.p, n);
      m.partial[2 * b + 1] = squares_of(areas.measured, n);
    }
  }
}

template <class T>
void measure(const Measure<T>& m, Team& team) {
  math::Rules::visit(m.rule, [&](auto rule) {
    using R = decltype(rule);
    if constexpr (math::kMeasured<R>) measure_with<R>(m, team);
  });
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
