// silu(x) = x s, s the sigmoid of x (also known as swish); derivative s + x s (1 - s), and that of
// -x is 1 minus that of x.
// Ramachandran, Zoph and Le, Searching for Activation Functions, 2017.
// mish(x) = x tanh(log(1 + e^x)); derivative g + x (1 - g^2) s, g the tanh.
// Misra, Mish: A Self Regularized Non-Monotonic Activation Function, 2019.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

// x, but not below where e^x is 0 in double too: no infinity may meet that 0.
template <class T>
ONEPASS_HD T above_vanishing(T x) {
  return x < T(-800) ? T(-800) : x;
}

struct Silu : NoHyper {
  static constexpr const char* kName = "silu";
  static constexpr bool kNeedsInput = true;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    const T near = above_vanishing(x);
    return near * math::sigmoid(near);
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>&) {
    const T below_zero = above_vanishing(-abs(x));
    const T q = math::sigmoid(below_zero);  // not 1 - s, which loses the digits that x multiplies
    const T below = q + below_zero * (q * (T(1) - q));
    return x < T(0) ? below : T(1) - below;
  }
};

// With e = e^x, tanh(log(1 + e)) = n / (n + 2) where n = e (e + 2). Above 0 both are taken times
// e^-2x, so that nothing overflows: e = e^-|x| throughout.
template <class T>
struct MishGate {
  T e;
  T numerator;
  T rest;  // denominator - numerator, without cancellation
};

template <class T>
ONEPASS_HD MishGate<T> mish_gate(T x) {
  const T e = exp(-abs(x));
  return {e, x < T(0) ? e * (e + T(2)) : T(1) + T(2) * e, x < T(0) ? T(2) : T(2) * (e * e)};
}

struct Mish : NoHyper {
  static constexpr const char* kName = "mish";
  static constexpr bool kNeedsInput = true;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    const T near = above_vanishing(x);
    const MishGate<T> a = mish_gate(near);
    return near * (a.numerator / (a.numerator + a.rest));
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>&) {
    const T near = clamp(x, T(-800), T(800));
    const MishGate<T> a = mish_gate(near);
    const T scale = T(1) / (a.numerator + a.rest);
    const T g = a.numerator * scale;
    const T s = (near < T(0) ? a.e : T(1)) / (T(1) + a.e);
    return g + near * (a.rest * scale) * (T(1) + g) * s;
  }
};

}  // namespace
}  // namespace onepass::math
