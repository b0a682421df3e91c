// gelu_tanh(x) = x (1 + tanh u) / 2 with u = sqrt(2/pi) (x + 0.044715 x^3), which is x sigmoid(2u);
// derivative s + x s (1 - s) 2u', s the sigmoid; that of -x is 1 minus that of x.
// Hendrycks and Gimpel, Gaussian Error Linear Units, 2016: their approximation.
#pragma once

#include "../elementary.h"
#include "../list.h"

namespace onepass::math {
namespace {

struct GeluTanh : NoHyper {
  static constexpr const char* kName = "gelu_tanh";
  static constexpr bool kNeedsInput = true;

  static constexpr double kSlope = 1.5957691216057308;  // 2 sqrt(2/pi)
  static constexpr double kCubic = 0.044715 * kSlope;

  // Beyond 40 the sigmoid is 0 or 1 in double too: no infinity may meet that 0.
  template <class T>
  ONEPASS_HD static T within(T x) {
    return clamp(x, T(-40), T(40));
  }
  template <class T>
  ONEPASS_HD static T gate(T x) {
    return math::sigmoid(x * (T(kSlope) + T(kCubic) * (x * x)));
  }

  template <class T>
  ONEPASS_HD static T value(T x, const Hyper<T>&) {
    const T near = within(x);
    return (x > T(40) ? x : near) * gate(near);
  }
  template <class T>
  ONEPASS_HD static T derivative(T x, T, const Hyper<T>&) {
    const T t = abs(within(x));
    const T q = gate(-t);  // not 1 - gate(t), which loses the digits that t u' multiplies
    const T slope = T(kSlope) + T(3 * kCubic) * (t * t);
    const T below = q - t * (q * (T(1) - q)) * slope;
    return x < T(0) ? below : T(1) - below;
  }
};

}  // namespace
}  // namespace onepass::math
