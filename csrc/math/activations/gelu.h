// gelu(x) = x Phi(x), Phi the normal distribution; derivative Phi(x) + x phi(x).
// Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
// With t = |x| and the tail Q(t) = Phi(-t): gelu(x) = max(x, 0) - t Q(t), and the derivative is
// Q(t) - t phi(t) for x < 0 and 1 minus that otherwise. Q(t) = e^(-t^2/2) M(t), where the ratio
// M(t) = e^(t^2/2) erfc(t / sqrt 2) / 2 is a polynomial: tail and density share one exponential.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

// M(t). Minimax fits to t = 4.7 and 7.8, weighted by e^(-t^2/2) (plus a little, so that M stays
// positive): loose where the tail no longer matters. Error of Q: 2^-26.4 and 2^-54.7.
ONEPASS_HD float normal_tail_polynomial(float t, float t4) {
  return polynomial_by_fours(t, t4, 0.5f, -0x1.98844p-2f, 0x1.fffcb4p-3f, -0x1.103e2ep-3f,
                             0x1.fe64a4p-5f, -0x1.ac4cf8p-6f, 0x1.3f24cap-7f, -0x1.9801dcp-9f,
                             0x1.a7235ap-11f, -0x1.4c0164p-13f, 0x1.6996cap-16f, -0x1.dfa678p-20f,
                             0x1.20e2bcp-24f);
}
ONEPASS_HD double normal_tail_polynomial(double t, double t4) {
  return polynomial_by_fours(
      t, t4, 0.5, -0.3989422804014261, 0.24999999999957753, -0.13298076012422622,
      0.062499999888598605, -0.026596151243332356, 0.010416662998597956, -0.0037994381226601026,
      0.0013020534737543514, -0.0004221051673061218, 0.00013012620808119842, -3.828217643081569e-05,
      1.075959831523058e-05, -2.881356230950754e-06, 7.294034075846123e-07, -1.7218209696328677e-07,
      3.7210893258085086e-08, -7.207884228915158e-09, 1.223901375365599e-09,
      -1.7811590111201357e-10, 2.1703957839311788e-11, -2.157831583047909e-12,
      1.6960967774534077e-13, -1.0099122606872182e-14, 4.2669282982986826e-16,
      -1.1369411183992548e-17, 1.4334233667456039e-19);
}

// |x|, but no further than where e^(-t^2/2) comes out as 0, which no infinity may meet.
ONEPASS_HD float normal_distance(float x) { return abs(x) > 13.27f ? 13.27f : abs(x); }
ONEPASS_HD double normal_distance(double x) { return abs(x) > 37.66 ? 37.66 : abs(x); }

template <class T>
struct NormalTail {
  T bell;   // e^(-t^2/2)
  T ratio;  // M(t)
};

template <class T>
ONEPASS_HD NormalTail<T> normal_tail(T t) {
  const T square = t * t;
  // e^(-s/2) is 2^(-s log2(e) / 2)
  return {exp2_flushed(T(-0.72134752044448170) * square),
          normal_tail_polynomial(t, square * square)};
}

struct Gelu : NoHyper {
  static constexpr const char* kName = "gelu";
  static constexpr bool kNeedsInput = true;

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    const T t = normal_distance(x);
    const NormalTail<T> tail = normal_tail(t);
    return (x < T(0) ? T(0) : x) -
           t * (tail.bell * tail.ratio);  // in this order, so that NaN and -0 pass
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>&) {
    constexpr T kDensity = T(0.3989422804014327);  // phi(0) = 1 / sqrt(2 pi)
    const T t = normal_distance(x);
    const NormalTail<T> tail = normal_tail(t);
    const T below = tail.bell * (tail.ratio - kDensity * t);
    return x < T(0) ? below : T(1) - below;
  }
};

}  // namespace
}  // namespace onepass::math
