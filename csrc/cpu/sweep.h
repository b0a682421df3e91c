// One pass over parameters, gradients and optimizer states: everything around a rule and the rule.
#pragma once

#include "../kernels.h"
#include "../math/rules.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
struct AroundOf {
  T scale, rest;  // their product is the scale: one float may be too small a number for it
  T clip, l2, keep;

  static AroundOf of(const Around& a) {
    constexpr double tiny = 1e-30;
    const bool split = a.scale != 0.0 && __builtin_fabs(a.scale) < tiny;
    const T clip = a.clip > 0.0 ? static_cast<T>(a.clip) : static_cast<T>(__builtin_inf());
    return {static_cast<T>(split ? a.scale / tiny : a.scale), static_cast<T>(split ? tiny : 1.0),
            clip, static_cast<T>(a.l2), static_cast<T>(a.keep)};
  }
};

// The states are separate named references: as an array they keep the compiler from vectorising.
template <class R, class T>
ONEPASS_INLINE void sweep_one(const typename R::template Hyper<T>& h, const AroundOf<T>& a, T g,
                              T& p, T& s0, T& s1, T& s2, T& s3) {
  g = g * a.scale * a.rest;
  g = g < -a.clip ? -a.clip : g > a.clip ? a.clip : g;
  g = a.l2 != T(0) ? g + a.l2 * p : g;
  T value = p * a.keep;
  if constexpr (R::kStates == 0) R::apply(h, g, value);
  if constexpr (R::kStates == 1) R::apply(h, g, value, s0);
  if constexpr (R::kStates == 2) R::apply(h, g, value, s0, s1);
  if constexpr (R::kStates == 3) R::apply(h, g, value, s0, s1, s2);
  if constexpr (R::kStates == 4) R::apply(h, g, value, s0, s1, s2, s3);
  p = value;
}

// Numbers by value: behind a reference they might alias p, and an instance that the compiler does
// not inline would stay scalar.
template <class R, class T>
void sweep(typename R::template Hyper<T> h, AroundOf<T> a, const Segment<T>& s, Range range) {
  T* __restrict p = s.p;
  const T* __restrict g = s.g;
  T unused{};
  T* __restrict s0 = s.state[0];
  T* __restrict s1 = s.state[1];
  T* __restrict s2 = s.state[2];
  T* __restrict s3 = s.state[3];
  for (int64_t i = range.begin; i < range.end; ++i) {
    if constexpr (R::kStates == 0) {
      sweep_one<R>(h, a, g[i], p[i], unused, unused, unused, unused);
    } else if constexpr (R::kStates == 1) {
      sweep_one<R>(h, a, g[i], p[i], s0[i], unused, unused, unused);
    } else if constexpr (R::kStates == 2) {
      sweep_one<R>(h, a, g[i], p[i], s0[i], s1[i], unused, unused);
    } else if constexpr (R::kStates == 3) {
      sweep_one<R>(h, a, g[i], p[i], s0[i], s1[i], s2[i], unused);
    } else {
      sweep_one<R>(h, a, g[i], p[i], s0[i], s1[i], s2[i], s3[i]);
    }
  }
}

// Puts the zeros of a segment's padding back.
template <class T>
void clear_padding(const Segment<T>& s, int states, Range range) {
  if (s.cols == s.stride) return;
  for (int64_t i = range.begin; i < range.end; ++i) {
    if (i % s.stride < s.cols) continue;
    s.p[i] = T(0);
    for (int k = 0; k < states; ++k) s.state[k][i] = T(0);
  }
}

// Zero gradient and state leave a zero parameter at zero, unless something is 0/0 or 0 * inf.
template <class R>
bool padding_stays_zero(const double* scalars, const Around& a) {
  bool finite =
      __builtin_isfinite(a.scale) && __builtin_isfinite(a.l2) && __builtin_isfinite(a.keep);
  for (int i = 0; i < R::kHyperCount; ++i) finite = finite && __builtin_fabs(scalars[i]) < 1e37;
  return finite && R::keeps_zero(scalars);
}

template <class T>
void update(const Update<T>& u, Team& team) {
  math::Rules::visit(u.rule, [&](auto rule) {
    using R = decltype(rule);
    const auto h = math::hyper_from<R, T>(u.scalars);
    for (int64_t k = 0; k < u.n_segments; ++k) {
      const Segment<T>& segment = u.segments[k];
      const Around& around = u.around[u.shared_around ? 0 : k];
      const AroundOf<T> a = AroundOf<T>::of(around);
      const Range range = team.share(segment.size, 1024);
      sweep<R>(h, a, segment, range);
      if (!padding_stays_zero<R>(u.scalars, around)) clear_padding(segment, R::kStates, range);
    }
  });
}

template <class T>
void scale_clip(const ScaleClip<T>& a, Team& team) {
  const T scale = static_cast<T>(a.scale), low = static_cast<T>(a.low),
          high = static_cast<T>(a.high);
  const Range range = team.share(a.size, 1024);
  for (int64_t i = range.begin; i < range.end; ++i) {
    const T x = a.data[i] * scale;
    a.data[i] = x < low ? low : x > high ? high : x;
  }
}

}  // namespace
}  // namespace onepass::ONEPASS_ISA
