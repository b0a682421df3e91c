// Scalar helpers shared by host and device code: bit casts, NaN-aware min/max, exact sqrt.
// Included by every math header; each instruction-set build compiles its own copy.
// Invariant: everything sits in an anonymous namespace and is branch-free, so that objects carry
// no weak symbols and plain loops over these functions auto-vectorise.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define ONEPASS_HD __host__ __device__ __forceinline__
#else
#define ONEPASS_HD inline __attribute__((always_inline))
#endif

namespace onepass::math {
namespace {

template <class T>
struct Traits;

template <>
struct Traits<float> {
  using Int = std::int32_t;
  using UInt = std::uint32_t;
  static constexpr int kMantissaBits = 23;  // stored bits, without the implicit one
  static constexpr int kExponentBias = 127;
  static constexpr UInt kSignMask = 0x80000000u;
  static constexpr UInt kOneBits = 0x3f800000u;
  static constexpr UInt kInfBits = 0x7f800000u;
  static constexpr UInt kNanBits = 0x7fc00000u;
  static constexpr float kMax = 0x1.fffffep127f;
  static constexpr float kMinNormal = 0x1p-126f;
  static constexpr float kEpsilon = 0x1p-23f;
};

template <>
struct Traits<double> {
  using Int = std::int64_t;
  using UInt = std::uint64_t;
  static constexpr int kMantissaBits = 52;
  static constexpr int kExponentBias = 1023;
  static constexpr UInt kSignMask = 0x8000000000000000u;
  static constexpr UInt kOneBits = 0x3ff0000000000000u;
  static constexpr UInt kInfBits = 0x7ff0000000000000u;
  static constexpr UInt kNanBits = 0x7ff8000000000000u;
  static constexpr double kMax = 0x1.fffffffffffffp1023;
  static constexpr double kMinNormal = 0x1p-1022;
  static constexpr double kEpsilon = 0x1p-52;
};

// __builtin_bit_cast is a compiler intrinsic in GCC 11+ and in nvcc's front end, so the same
// spelling serves both sides and GCC's vectoriser sees a plain reinterpretation of the lane.
template <class To, class From>
ONEPASS_HD To bit_cast(From v) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, v);
}

template <class T>
ONEPASS_HD typename Traits<T>::UInt to_bits(T x) {
  return bit_cast<typename Traits<T>::UInt>(x);
}

template <class T>
ONEPASS_HD T from_bits(typename Traits<T>::UInt b) {
  return bit_cast<T>(b);
}

template <class T>
ONEPASS_HD T infinity() {
  return from_bits<T>(Traits<T>::kInfBits);
}

template <class T>
ONEPASS_HD T quiet_nan() {
  return from_bits<T>(Traits<T>::kNanBits);
}

// Both values are computed; the compiler turns this into a blend.
template <class T>
ONEPASS_HD T select(bool take_a, T a, T b) {
  return take_a ? a : b;
}

template <class T>
ONEPASS_HD T abs(T x) {
  return from_bits<T>(to_bits(x) & static_cast<typename Traits<T>::UInt>(~Traits<T>::kSignMask));
}

// |magnitude| must carry a clear sign bit: one `or` instead of the and-and-or of copysign.
template <class T>
ONEPASS_HD T with_sign_of(T magnitude, T sign) {
  return from_bits<T>(to_bits(magnitude) | (to_bits(sign) & Traits<T>::kSignMask));
}

template <class T>
ONEPASS_HD bool is_nan(T x) {
  return x != x;
}

// Ordered compare: false for NaN and for both infinities.
template <class T>
ONEPASS_HD bool is_finite(T x) {
  return abs(x) <= Traits<T>::kMax;
}

// NaN in either argument gives NaN. `|` instead of `||` keeps the condition free of branches.
template <class T>
ONEPASS_HD T max(T a, T b) {
  return ((a > b) | (a != a)) ? a : b;
}

template <class T>
ONEPASS_HD T min(T a, T b) {
  return ((a < b) | (a != a)) ? a : b;
}

// Limits a value to [lo, hi] and keeps NaN: both compares are false for it. Maps to min/max
// instructions whose second operand wins when unordered.
template <class T>
ONEPASS_HD T clamp(T x, T lo, T hi) {
  const T at_least = lo > x ? lo : x;
  return hi < at_least ? hi : at_least;
}

// -1, 0 or 1; NaN stays NaN.
template <class T>
ONEPASS_HD T sign(T x) {
  const T not_above = x < T(0) ? T(-1) : x;
  return x > T(0) ? T(1) : not_above;
}

// Correctly rounded on both sides, whatever -prec-sqrt says.
ONEPASS_HD float sqrt(float x) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(x);
#else
  return __builtin_sqrtf(x);
#endif
}

ONEPASS_HD double sqrt(double x) {
#if defined(__CUDA_ARCH__)
  return __dsqrt_rn(x);
#else
  return __builtin_sqrt(x);
#endif
}

}  // namespace
}  // namespace onepass::math
