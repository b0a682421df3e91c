// Branch-free elementary functions for float and double, bit-identical on every instruction set.
// Called from plain element loops on the CPU (auto-vectorised) and from CUDA kernels.
// Invariant: only IEEE +, -, *, / and integer bit operations in a fixed order, built without
// contraction, so one source gives one result everywhere. No libm, no tables, no branches.
// FTZ/DAZ may flush subnormals to 0; normal results change at most in the last bits.
#pragma once

#include "hd.h"

namespace onepass::math {
namespace {

// ---- constants ----------------------------------------------------------------------------------

template <class T>
struct Elementary;

// kLn2Hi has so few bits that k * kLn2Hi is exact for every exponent k; kLn2Lo = ln 2 - kLn2Hi.
// Adding kRound (1.5 * 2^mantissa plus an offset) rounds to the nearest integer k and leaves
// k + 2 * bias in the low bits of the sum, ready for exponent arithmetic: no float-to-int
// conversion, which for 64-bit lanes exists only from AVX-512 on.
template <>
struct Elementary<float> {
  static constexpr float kLog2E = 0x1.715476p+0f;
  static constexpr float kLn2Hi = 0x1.62e4p-1f;
  static constexpr float kLn2Lo = 0x1.7f7d1cp-20f;
  static constexpr float kRound = 0x1.8p23f + 254.0f;
  static constexpr float kExpMax = 89.0f;     // e^89 > FLT_MAX, exponent still 128
  static constexpr float kExpMin = -104.0f;   // e^-104 rounds to 0
  static constexpr float kExpm1Min = -18.0f;  // e^-18 - 1 rounds to -1
  static constexpr float kTanhMax = 10.0f;    // tanh(10) rounds to 1
  static constexpr float kErfSplit = 0.875f;
  static constexpr float kErfMax = 4.0f;  // erf(4) rounds to 1
  static constexpr float kPow2Mantissa = 0x1p23f;
  static constexpr std::uint32_t kSqrtHalfBits = 0x3f3504f3u;
};

template <>
struct Elementary<double> {
  static constexpr double kLog2E = 0x1.71547652b82fep+0;
  static constexpr double kLn2Hi = 0x1.62e42feep-1;
  static constexpr double kLn2Lo = 0x1.a39ef35793c76p-33;
  static constexpr double kRound = 0x1.8p52 + 2046.0;
  static constexpr double kExpMax = 710.0;
  static constexpr double kExpMin = -746.0;
  static constexpr double kExpm1Min = -40.0;
  static constexpr double kTanhMax = 20.0;
  static constexpr double kErfSplit = 0.875;
  static constexpr double kErfMax = 6.0;
  static constexpr double kPow2Mantissa = 0x1p52;
  static constexpr std::uint64_t kSqrtHalfBits = 0x3fe6a09e667f3bcdu;
};

// c0 + c1 x + c2 x^2 + ...
template <class T>
ONEPASS_HD T polynomial(T, T c0) {
  return c0;
}
template <class T, class... Rest>
ONEPASS_HD T polynomial(T x, T c0, Rest... rest) {
  return c0 + x * polynomial(x, rest...);
}

// The same four terms at a time, in x4 = x^4: chains of additions a third as long, so that more
// vectors are under way at once. Worth it for long polynomials.
template <class T, class... C>
ONEPASS_HD T polynomial_by_fours(T x, T, C... c)
  requires(sizeof...(C) < 4)
{
  return polynomial(x, c...);
}
template <class T, class... Rest>
ONEPASS_HD T polynomial_by_fours(T x, T x4, T c0, T c1, T c2, T c3, Rest... rest) {
  if constexpr (sizeof...(Rest) == 0) {
    return polynomial(x, c0, c1, c2, c3);
  } else {
    return polynomial(x, c0, c1, c2, c3) + x4 * polynomial_by_fours(x, x4, rest...);
  }
}

// All coefficients below are weighted minimax fits from our own Remez exchange in 50 digits; the
// stated error is that of the fit, relative to the function named.

// (e^r - 1 - r) / r^2 for |r| <= ln(2)/2. Error of e^r - 1: 2^-26.2 and 2^-55.6.
ONEPASS_HD float exp_polynomial(float r) {
  return polynomial(r, 0x1.fffffep-2f, 0x1.5554bp-3f, 0x1.555674p-5f, 0x1.122776p-7f,
                    0x1.6bec0ap-10f);
}
ONEPASS_HD double exp_polynomial(double r) {
  return polynomial(r, 0.5000000000000006, 0.16666666666666588, 0.04166666666657676,
                    0.008333333333389528, 0.0013888888931564772, 0.00019841269719061432,
                    2.4801505274109748e-05, 2.755740749284489e-06, 2.7626037720817683e-07,
                    2.505379066856734e-08);
}

// (2^r - 1) / r for |r| <= 1/2. Error of 2^r: 2^-28.5 and 2^-55.6.
ONEPASS_HD float exp2_polynomial(float r) {
  return polynomial(r, 0x1.62e432p-1f, 0x1.ebfbe2p-3f, 0x1.c6ae72p-5f, 0x1.3b270ep-7f,
                    0x1.5f7278p-10f, 0x1.470b5ep-13f);
}
ONEPASS_HD double exp2_polynomial(double r) {
  return polynomial(r, 0.6931471805599457, 0.24022650695910097, 0.05550410866479039,
                    0.009618129107607003, 0.0013333558153440152, 0.00015403530441572685,
                    1.5252727385057064e-05, 1.3215442674947123e-06, 1.018064770029022e-07,
                    7.072570492388356e-09, 4.0780677162171623e-10);
}

// (2 atanh(s) - 2s) / (s z), z = s^2, |s| <= 0.1716. Error of 2 atanh(s): 2^-30.2 and 2^-59.5.
ONEPASS_HD float log_polynomial(float z) {
  return polynomial(z, 0x1.55557ap-1f, 0x1.995e9cp-2f, 0x1.31e678p-2f);
}
ONEPASS_HD double log_polynomial(double z) {
  return polynomial(z, 0.6666666666666735, 0.3999999999941109, 0.2857142874326283,
                    0.2222219847597916, 0.18183569740005542, 0.1531390324396192,
                    0.14797507714292507);
}

// erf(x) / x - 1 in z = x^2, |x| <= kErfSplit. Error of erf: 2^-26.8 and 2^-55.3.
ONEPASS_HD float erf_small_polynomial(float z) {
  return polynomial(z, 0x1.06eba6p-3f, -0x1.81270cp-2f, 0x1.ce211ep-4f, -0x1.b6f38ap-6f,
                    0x1.49c9fep-8f, -0x1.453ab2p-11f);
}
ONEPASS_HD double erf_small_polynomial(double z) {
  return polynomial(z, 0.12837916709551256, -0.3761263890318299, 0.1128379167091558,
                    -0.02686617063714264, 0.005223977542437352, -0.0008548321977262849,
                    0.00012055141076606619, -1.4920941983180788e-05, 1.6387374348173429e-06,
                    -1.5619256262164293e-07, 1.0456785177140518e-08);
}

// -log(erfc(x)) for kErfSplit <= x <= kErfMax, weighted by erfc / erf: the fit may be loose where
// erfc no longer matters. Error of erf: 2^-24.9 and 2^-53.1.
ONEPASS_HD float erf_tail_polynomial(float x) {
  return polynomial(x, 0x1.b1613cp-10f, 0x1.1efac2p+0f, 0x1.4c957cp-1f, 0x1.788b2cp-4f,
                    -0x1.03cdfp-6f, 0x1.51b3e4p-10f);
}
ONEPASS_HD double erf_tail_polynomial(double x) {
  return polynomial(x, 4.949339567150296e-07, 1.1283739337661287, 0.6366454180671158,
                    0.10269533636900181, -0.018968443072602932, -0.00045011033907159517,
                    0.001967770340360384, -0.0008216268218824006, 0.00017343537778400218,
                    -2.099646662304195e-06, -1.2699412839529525e-05, 5.119370219197081e-06,
                    -1.1828848578957098e-06, 1.8106040509028907e-07, -1.8248652348863835e-08,
                    1.1054779002778232e-09, -3.063298652214001e-11);
}

// ---- exponential family -------------------------------------------------------------------------

// x = k ln 2 + r + r_low with |r| <= ln(2)/2; the low bits of `biased` hold k + 2 * bias.
template <class T>
struct ExpReduced {
  T r;
  T r_low;
  typename Traits<T>::UInt biased;
};

template <class T>
ONEPASS_HD ExpReduced<T> reduce_exp(T x) {
  using C = Elementary<T>;
  const T shifted = x * C::kLog2E + C::kRound;
  const T k = shifted - C::kRound;
  const T high = x - k * C::kLn2Hi;  // exact
  const T low = k * C::kLn2Lo;
  const T r = high - low;
  return {r, (high - r) - low, to_bits(shifted)};
}

// 2^(k + offset) from the reduction; the caller knows that it is a normal number.
template <class T>
ONEPASS_HD T pow2_of(const ExpReduced<T>& a, int offset) {
  using UInt = typename Traits<T>::UInt;
  const UInt rebias = static_cast<UInt>(Traits<T>::kExponentBias - offset);
  return from_bits<T>((a.biased - rebias) << Traits<T>::kMantissaBits);
}

// e^(r + r_low) - 1. r_low matters only to expm1, which can double this error by cancellation.
template <class T>
ONEPASS_HD T expm1_reduced(const ExpReduced<T>& a) {
  return a.r + (a.r * a.r * exp_polynomial(a.r) + a.r_low);
}

// The scale 2^k is applied as two normal factors, floor(k/2) and ceil(k/2), so that overflow and
// subnormal results come out of one correctly rounded product. Halving `biased` splits it: the
// bits of kRound above the field are shifted out.
template <class T>
ONEPASS_HD T exp(T x) {
  using C = Elementary<T>;
  constexpr int kShift = Traits<T>::kMantissaBits;
  const ExpReduced<T> a = reduce_exp(clamp(x, C::kExpMin, C::kExpMax));
  const T mantissa = T(1) + (a.r + a.r * a.r * exp_polynomial(a.r));
  const auto half = a.biased >> 1;
  const T scale_low = from_bits<T>(half << kShift);
  const T scale_high = from_bits<T>((a.biased - half) << kShift);
  return mantissa * scale_low * scale_high;
}

// 2^x for x in [-bias, 0], results below the normal numbers being 0: one scaling is enough, and
// 2^-bias has the bits of 0.
template <class T>
ONEPASS_HD T exp2_flushed(T x) {
  using C = Elementary<T>;
  constexpr auto kBias = static_cast<typename Traits<T>::UInt>(Traits<T>::kExponentBias);
  const T shifted = x + C::kRound;
  const T r = x - (shifted - C::kRound);
  const T scale = from_bits<T>((to_bits(shifted) - kBias) << Traits<T>::kMantissaBits);
  return (T(1) + r * exp2_polynomial(r)) * scale;
}

// 2^k (e^r - 1) + (2^k - 1), computed at half scale because 2^k itself may overflow. Below
// epsilon/4 the result is x, which also keeps -0 and subnormals.
template <class T>
ONEPASS_HD T expm1(T x) {
  using C = Elementary<T>;
  const ExpReduced<T> a = reduce_exp(clamp(x, C::kExpm1Min, C::kExpMax));
  const T half_scale = pow2_of(a, -1);
  const T result = T(2) * (half_scale * expm1_reduced(a) + (half_scale - T(0.5)));
  return abs(x) < Traits<T>::kEpsilon * T(0.25) ? x : result;
}

// E / (E + 2) with E = e^(2|x|) - 1 >= 0: no cancellation near 0, no overflow at kTanhMax. The
// plain quotient is off by up to 2.5 ulp, so the parts lost in rounding E and E + 2 are carried to
// the end: dq = ((1 - q) dE - q d(E + 2)) / (E + 2), and 1 / (E + 2) is (1 - q) / 2. For large E,
// 1 - q is inaccurate and the correction is not needed.
template <class T>
ONEPASS_HD T tanh(T x) {
  using C = Elementary<T>;
  const ExpReduced<T> a = reduce_exp(T(2) * clamp(abs(x), T(0), C::kTanhMax));
  const T scale = pow2_of(a, 0);
  const T rest = a.r * a.r * exp_polynomial(a.r) + a.r_low;
  const T p = a.r + rest;
  const T e = scale * p + (scale - T(1));
  const T e_lost = scale * (rest - (p - a.r));
  const T denominator = e + T(2);
  const T denominator_lost = e < T(4096) ? e - (denominator - T(2)) : T(0);
  const T q = e / denominator;
  const T complement = T(1) - q;
  const T correction = complement * e_lost - q * denominator_lost;
  return with_sign_of(q + T(0.5) * complement * correction, x);
}

// e^-|x| never overflows; the negative side is e / (1 + e), accurate in relative terms. The part
// lost in rounding 1 + e is put back: without it the error is up to 2.4 ulp. 1 / (1 + e) is within
// 9 % of 1 - e/2 on [0, 1], plenty for a correction.
template <class T>
ONEPASS_HD T sigmoid(T x) {
  const T e = exp(-abs(x));
  const T numerator = x < T(0) ? e : T(1);
  const T denominator = T(1) + e;
  const T lost = e - (denominator - T(1));  // exact
  const T q = numerator / denominator;
  return q - q * lost * (T(1) - T(0.5) * e);
}

// ---- logarithm family ---------------------------------------------------------------------------

// u = 2^k m with sqrt(1/2) <= m < sqrt(2); u must be a positive normal number.
template <class T>
struct LogReduced {
  T m;
  T k;
  T inverse_scale;  // 2^-k, meaningless for k = bias + 1
};

template <class T>
ONEPASS_HD LogReduced<T> reduce_log(T u) {
  using C = Elementary<T>;
  using UInt = typename Traits<T>::UInt;
  constexpr int kShift = Traits<T>::kMantissaBits;
  const UInt bits = to_bits(u);
  const UInt biased = (bits - C::kSqrtHalfBits + Traits<T>::kOneBits) >> kShift;  // k + bias
  const UInt scale_bits = (biased << kShift) - Traits<T>::kOneBits;
  // An integer or-ed into the mantissa of 2^mantissa is that number plus the integer.
  const T k = from_bits<T>(biased | to_bits(C::kPow2Mantissa)) -
              (C::kPow2Mantissa + T(Traits<T>::kExponentBias));
  return {from_bits<T>(bits - scale_bits), k, from_bits<T>(Traits<T>::kOneBits - scale_bits)};
}

// log(2^k (1 + f)) through s = f / (2 + f), log(1 + f) = 2 atanh(s). Rewritten around
// 2s = f - s f and s f = f^2/2 - s f^2/2 so that the leading term f is exact.
template <class T>
ONEPASS_HD T log_reduced(T f, T k) {
  using C = Elementary<T>;
  const T s = f / (T(2) + f);
  const T z = s * s;
  const T half_square = T(0.5) * f * f;
  const T tail = s * (half_square + z * log_polynomial(z));
  return k * C::kLn2Hi - ((half_square - (tail + k * C::kLn2Lo)) - f);
}

template <class T>
ONEPASS_HD T log(T x) {
  using C = Elementary<T>;
  const bool subnormal = x < Traits<T>::kMinNormal;
  const T scaled = subnormal ? x * C::kPow2Mantissa : x;
  const LogReduced<T> a = reduce_log(scaled);
  const T k = a.k - (subnormal ? T(Traits<T>::kMantissaBits) : T(0));
  const T finite = log_reduced(a.m - T(1), k);
  const T positive = x < infinity<T>() ? finite : x;
  const T other = x == T(0) ? -infinity<T>() : quiet_nan<T>();
  return x > T(0) ? positive : other;
}

// For -1 < x < inf. u = 1 + x is rounded; its exact error (two-sum) is added back to the reduced
// argument, which for k = 0 restores f = x. From 2^60 on the error cannot matter, and 2^-k might
// not be representable.
template <class T>
ONEPASS_HD T log1p_finite(T x) {
  const T u = T(1) + x;
  const T x_part = u - T(1);
  const T error = (T(1) - (u - x_part)) + (x - x_part);
  const LogReduced<T> a = reduce_log(u);
  const T correction = x > T(0x1p60) ? T(0) : error * a.inverse_scale;  // keeps NaN
  return log_reduced((a.m - T(1)) + correction, a.k);
}

template <class T>
ONEPASS_HD T log1p(T x) {
  const T finite = log1p_finite(x);
  const T above = x < infinity<T>() ? finite : x;
  const T other = x == T(-1) ? -infinity<T>() : quiet_nan<T>();
  const T result = x > T(-1) ? above : other;
  return x == T(0) ? x : result;  // keeps -0
}

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|): neither term overflows.
template <class T>
ONEPASS_HD T softplus(T x) {
  return (x > T(0) ? x : T(0)) + log1p_finite(exp(-abs(x)));
}

// ---- error function -----------------------------------------------------------------------------

// Odd polynomial near 0; beyond kErfSplit 1 - e^-P(x), where erfc < 0.22 damps the error of the
// exponential.
template <class T>
ONEPASS_HD T erf(T x) {
  using C = Elementary<T>;
  const T magnitude = clamp(abs(x), T(0), C::kErfMax);
  // x (1 + P), not x + x P: under FTZ the product x P would vanish next to a normal x.
  const T small = magnitude * (T(1) + erf_small_polynomial(magnitude * magnitude));
  const ExpReduced<T> a = reduce_exp(-erf_tail_polynomial(magnitude));
  const T large = T(1) - pow2_of(a, 0) * (T(1) + (a.r + a.r * a.r * exp_polynomial(a.r)));
  return with_sign_of(magnitude < C::kErfSplit ? small : large, x);
}

}  // namespace
}  // namespace onepass::math
