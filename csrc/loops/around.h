// What surrounds an update rule, and the rule, for one element: the sweeps of all backends go
// through these.
#pragma once

#include "../arguments/update.h"
#include "../math/penalty.h"
#include "../math/rules.h"

namespace onepass::ONEPASS_ISA {
namespace {

template <class T>
struct AroundOf {
  T scale, rest;  // their product is the scale: one float may be too small a number for it
  T clip, l2, keep;
  T penalty_l1, penalty_l2;
  bool plain;  // the rule receives the gradient as it is

  static AroundOf of(const Around& a) {
    const T clip = a.clip > 0.0 ? static_cast<T>(a.clip) : static_cast<T>(__builtin_inf());
    const T l2 = static_cast<T>(a.l2);
    const T penalty_l1 = static_cast<T>(a.penalty_l1), penalty_l2 = static_cast<T>(a.penalty_l2);
    const bool plain = a.scale == 1.0 && clip == static_cast<T>(__builtin_inf()) && l2 == T(0) &&
                       penalty_l1 == T(0) && penalty_l2 == T(0);
    AroundOf all{T(1), T(1), clip, l2, static_cast<T>(a.keep), penalty_l1, penalty_l2, plain};
    all.set_scale(a.scale);
    return all;
  }
  ONEPASS_INLINE void set_scale(double by) {
    constexpr double tiny = 1e-30;
    const bool split = by != 0.0 && __builtin_fabs(by) < tiny;
    scale = static_cast<T>(split ? by / tiny : by);
    rest = static_cast<T>(split ? tiny : 1.0);
  }

  ONEPASS_INLINE T penalised(T g, T p) const {
    return g + math::penalty_derivative(p, penalty_l1, penalty_l2);
  }
  ONEPASS_INLINE T clipped(T g) const { return math::clamp(g * scale * rest, -clip, clip); }
  ONEPASS_INLINE T decayed(T g, T p) const { return l2 != T(0) ? g + l2 * p : g; }
};

// Whether a sweep that knows of penalties must ask for their derivative. They come with a
// DenseUpdate, so with no rule that is measured.
template <class R, class T>
ONEPASS_INLINE bool has_penalty(const AroundOf<T>& a) {
  return !math::kMeasured<R> && (a.penalty_l1 != T(0) || a.penalty_l2 != T(0));
}

// One element. `kPlain` and no `kPenalised` leave out what changes nothing; the result is the same
// to the bit. The states are separate named references: as an array they keep the compiler from
// vectorising.
template <class R, bool kPlain, bool kPenalised, class T>
ONEPASS_INLINE void sweep_one(const typename R::template Hyper<T>& h, const AroundOf<T>& a, T g,
                              T& p, T& s0, T& s1, T& s2, T& s3) {
  if constexpr (!kPlain) {
    if constexpr (kPenalised) g = a.penalised(g, p);
    g = a.clipped(g);
    g = a.decayed(g, p);
  }
  p = p * a.keep;
  if constexpr (R::kStates == 0) R::apply(h, g, p);
  if constexpr (R::kStates == 1) R::apply(h, g, p, s0);
  if constexpr (R::kStates == 2) R::apply(h, g, p, s0, s1);
  if constexpr (R::kStates == 3) R::apply(h, g, p, s0, s1, s2);
  if constexpr (R::kStates == 4) R::apply(h, g, p, s0, s1, s2, s3);
}

// What comes before the rule, as in `sweep_one`, and what the rule measures: its result. Of a rule
// that learns its rate the gradient takes the parameter's place.
template <class R, class T>
ONEPASS_INLINE T measure_one(const typename R::template Hyper<T>& h, const AroundOf<T>& a, T g,
                             T& p, T s0, T s1) {
  static_assert(R::kStates == 1 || R::kStates == 2);
  const T x = a.decayed(a.clipped(g), p);
  p = math::kLearnsRate<R> ? x : p * a.keep;
  if constexpr (R::kStates == 1) {
    return R::measured(h, x, s0);
  } else {
    return R::measured(h, x, s0, s1);
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

}  // namespace
}  // namespace onepass::ONEPASS_ISA
